package redisstore_test

import (
	"strings"
	"testing"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store/redisstore"
)

func diagnose(t *testing.T, url, name string) []checkup.Finding {
	t.Helper()
	b, err := redisstore.Open(t.Context(), url, redisstore.Options{AutoMigrate: true, Name: name, OnWarning: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	findings, err := b.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

func TestADurableServerIsFoundSound(t *testing.T) {
	url := testserver.URL(t, durableServer)
	findings := diagnose(t, url, newName(t, url))
	if len(findings) != 6 || checkup.Worst(findings) != checkup.OK {
		t.Errorf("found %+v", findings)
	}
}

func TestWhatAServerLosesAndWhatAUserMayNotIsFound(t *testing.T) {
	server := testserver.StartRedis(t, "--maxmemory-policy", "allkeys-lru", "--maxmemory", "50mb")
	findings := diagnose(t, server.URL, "events")
	for check, word := range map[string]string{"durability": "appendonly", "eviction": "noeviction"} {
		if f, _ := checkup.Find(findings, check); f.Level != checkup.Fail || !strings.Contains(f.Cure, word) {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if f, _ := checkup.Find(findings, "memory"); f.Level != checkup.OK || !strings.Contains(f.Found, "of 50 MiB") {
		t.Errorf("memory: %+v", f)
	}
	server.Do("acl", "setuser", "reader", "on", ">reader", "+@all", "%R~*")
	findings = diagnose(t, strings.Replace(server.URL, "redis://", "redis://reader:reader@", 1), "events")
	if f, _ := checkup.Find(findings, "permissions"); f.Level != checkup.Fail || !strings.Contains(f.Found, "reader") {
		t.Errorf("permissions: %+v", f)
	}
}

package redisserver_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"lexigram.dev/events/internal/redisserver"
)

const info = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\naof_enabled:%s\r\nmaxmemory_policy:noeviction\r\n"

// answering gives a server's settings; nil: it tells none.
func answering(settings map[string]string) func(string) (string, bool, error) {
	return func(name string) (string, bool, error) { return settings[name], settings != nil, nil }
}

func TestWhatACrashMayCostIsSaid(t *testing.T) {
	safe := map[string]string{"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
	with := func(name, value string) map[string]string {
		changed := map[string]string{name: value}
		for n, v := range safe {
			if n != name {
				changed[n] = v
			}
		}
		return changed
	}
	for name, c := range map[string]struct {
		aof      string
		settings map[string]string
		want     string // "": nothing
	}{
		"safe":                {"1", safe, ""},
		"starting":            {"0", safe, ""}, // INFO does not say yet that it appends
		"each second":         {"1", with("appendfsync", "everysec"), "the last second or two"},
		"when it likes":       {"1", with("appendfsync", "no"), "appendfsync is no"},
		"nothing kept":        {"0", with("appendonly", "no"), "a restart loses everything"},
		"snapshots":           {"0", map[string]string{"appendonly": "no", "save": "60 1"}, "(save 60 1)"},
		"evicting":            {"1", with("maxmemory-policy", "allkeys-lru"), "throws eggs away"},
		"silent, with AOF":    {"1", nil, "CONFIG is forbidden"},
		"silent, without AOF": {"0", nil, "if any is made"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := redisserver.Read(fmt.Sprintf(info, c.aof), answering(c.settings))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(f.Faults("eggs"), "; "); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.want == "" && !strings.Contains(f.Durability("eggs"), "on disk before") {
				t.Errorf("durability: %s", f.Durability("eggs"))
			}
		})
	}
}

func TestServersAreToldApart(t *testing.T) {
	for text, want := range map[string]bool{"redis_version:6.0.9": false, "redis_version:6.2.1": true, "redis_version:10.0": true, "redis_version:x": false, "redis_version:7.2.4\r\nvalkey_version:8.1.0": true} {
		f, err := redisserver.Read(text+"\r\nrole:slave\r\nloading:1\r\n", answering(nil))
		if err != nil || f.Supported() != want || !f.Replica || !f.Loading {
			t.Errorf("%s: %+v (%v)", text, f, err)
		}
		if strings.Contains(text, "valkey") != (f.Name == "valkey") {
			t.Errorf("%s is called %s", text, f.Name)
		}
	}
	lost := errors.New("connection lost")
	if _, err := redisserver.Read("", func(string) (string, bool, error) { return "", false, lost }); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}

func TestNothingOfAURLIsShown(t *testing.T) {
	number := 0
	parameters := map[string]func(string) error{
		"number": func(v string) (err error) { number, err = strconv.Atoi(v); return err },
		"name":   func(string) error { return redisserver.Shown("names another one") },
	}
	client, err := redisserver.ParseURL("rediss://u:secret@h:1/2?number=7&pool_size=3", "redis://h", parameters)
	if err != nil || number != 7 || client.PoolSize != 3 || client.TLSConfig == nil || client.DB != 2 || client.Password != "secret" {
		t.Errorf("%+v, number %d (%v)", client, number, err)
	}
	for url, want := range map[string]string{
		"redis://u:secret\x7f@h":         "percent-encoded",
		"http://u:secret@h":              "must have the form redis://h",
		"redis:secret":                   "must have the form",
		"redis://u:secret@h?a=%zz":       "malformed query",
		"redis://u:secret@h?number=x":    "a parameter number of a wrong form",
		"redis://u:secret@h?name=x":      "names another one",
		"redis://u:secret@h?shoe_size=4": "unknown: shoe_size",
		"redis://u:secret@h/x":           "not the number of a database",
		"redis://u:secret@h?pool_size=x": "a setting is not valid",
	} {
		if _, err := redisserver.ParseURL(url, "redis://h", parameters); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
	}
}

func Example() {
	facts, err := redisserver.Read("redis_version:7.0.15\r\nrole:master\r\n", func(name string) (string, bool, error) {
		return map[string]string{"appendonly": "yes", "appendfsync": "everysec"}[name], true, nil
	})
	fmt.Println(facts.Durability("events"), err)
	// Output: appendfsync is everysec: a crash may lose the last second or two <nil>
}

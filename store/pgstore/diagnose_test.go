package pgstore_test

import (
	"net/url"
	"strings"
	"testing"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store/pgstore"
)

// diagnose opens the store that the URL names and examines its server.
func diagnose(t *testing.T, dsn string, o pgstore.Options) []checkup.Finding {
	t.Helper()
	b, err := pgstore.Open(t.Context(), dsn, o)
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

func TestASoundServerIsFoundSound(t *testing.T) {
	for _, variable := range []string{debianServer, oldestServer, newestServer} {
		t.Run(variable, func(t *testing.T) {
			dsn := testserver.URL(t, variable)
			findings := diagnose(t, dsn, pgstore.Options{Schema: newSchema(t, dsn), AutoMigrate: true})
			if worst := checkup.Worst(findings); worst == checkup.Fail || len(findings) != 6 {
				t.Errorf("found %+v", findings)
			}
			for _, check := range []string{"version", "permissions", "clock"} {
				if f, ok := checkup.Find(findings, check); !ok || f.Level != checkup.OK {
					t.Errorf("%s: %+v", check, f)
				}
			}
		})
	}
}

func TestAServerWithoutAStoreCanBeExamined(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	findings := diagnose(t, dsn, pgstore.Options{Schema: newSchema(t, dsn), Pending: true})
	if f, ok := checkup.Find(findings, "durability"); !ok || f.Found == "" {
		t.Errorf("found %+v", findings)
	}
}

func TestAsynchronousCommitsFailTheExamination(t *testing.T) {
	u, err := url.Parse(testserver.URL(t, debianServer))
	if err != nil {
		t.Fatal(err)
	}
	schema := newSchema(t, u.String())
	query := u.Query()
	query.Set("synchronous_commit", "off")
	u.RawQuery = query.Encode()
	findings := diagnose(t, u.String(), pgstore.Options{Schema: schema, AutoMigrate: true})
	if f, _ := checkup.Find(findings, "durability"); f.Level != checkup.Fail || !strings.Contains(f.Cure, "synchronous_commit") {
		t.Errorf("found %+v", f)
	}
}

func TestAUserWithoutRightsIsToldWhichToGrant(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	diagnose(t, dsn, pgstore.Options{Schema: schema, AutoMigrate: true})
	role := schema + "_reader"
	execute(t, dsn, `create role `+role+` login password 'reader'`)
	t.Cleanup(func() { execute(t, dsn, `drop owned by `+role+`; drop role `+role) })
	execute(t, dsn, `grant usage on schema `+schema+` to `+role+`; grant select on all tables in schema `+schema+` to `+role)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "reader")
	findings := diagnose(t, u.String(), pgstore.Options{Schema: schema, ReadOnly: true})
	f, _ := checkup.Find(findings, "permissions")
	if f.Level != checkup.Fail || !strings.Contains(f.Found, "events") || !strings.Contains(f.Cure, "grant") {
		t.Errorf("found %+v", f)
	}
}

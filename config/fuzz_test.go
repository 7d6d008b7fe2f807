package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad feeds the loader any file and any variable. It must give a valid configuration or faults with a text, and never
// show what was marked as a secret.
func FuzzLoad(f *testing.F) {
	sample, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample), "OUTBOX__POLL_INTERVAL", "30s")
	f.Add("events: {outbox: false, middleware: {retry: {max_attempts: 3}}}", "SQLITE__PRAGMAS__CACHE_SIZE", "-100")
	f.Add("x: &a {name: shop}\nevents:\n  <<: *a\n  kafka: {bootstrap_servers: [a, b]}\n", "PROJECTION__READ_MODELS", "[{name: a}]")
	f.Add("events: {postgres: {dsn: 'postgres://u:hunter2@h/d?x=%zz'}}", "EVENT_STORE__BACKEND", "postgres")
	f.Add("events: {name: '${a.b:-${X}}', a: *b, c: !!binary x, ? [d] : e}", "NAME", "${outbox.table}")
	f.Add("events:\n\t- [", "A__B__C", "{")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content, name, value string) {
		path := filepath.Join(dir, "application.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Source{Path: path, Environ: []string{"X=hunter2", EnvPrefix + name + "=" + value}})
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a text")
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("what was loaded is not valid: %v", err)
		}
		for _, s := range c.Settings() {
			if s.Origin == "" || strings.Contains(s.Value, "hunter2") && !strings.Contains(content+value, "hunter2") && strings.HasSuffix(s.Key, "dsn") {
				t.Fatalf("%+v", s)
			}
		}
	})
}

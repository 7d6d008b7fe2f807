package config

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled is the schema of the file, in a validator that is not ours.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(JSONSchema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("application.schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("application.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// accepts says what a validator has against a file of YAML.
func accepts(s *jsonschema.Schema, text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	return s.Validate(parsed)
}

var (
	yamlBlock = regexp.MustCompile("(?ms)^( *)```ya?ml[^\n]*\n(.*?)^ *```$")
	eventsKey = regexp.MustCompile(`(?m)^events:`)
	reference = regexp.MustCompile(`\$\{([A-Z][A-Z0-9_]*)\}`)
)

// samples gives the reference's file, and each file and each block of the documentation that configures us.
func samples(t *testing.T) map[string]string {
	t.Helper()
	sample, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{"testdata/sample.yaml": string(sample)}
	for _, top := range []string{"README.md", "docs", "examples"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || d.IsDir() || ext != ".md" && ext != ".yaml" && ext != ".yml" {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if ext != ".md" {
				if eventsKey.Match(raw) {
					found[path] = string(raw)
				}
				return nil
			}
			for _, at := range yamlBlock.FindAllSubmatchIndex(raw, -1) {
				indent, text := string(raw[at[2]:at[3]]), string(raw[at[4]:at[5]])
				if indent != "" {
					text = strings.ReplaceAll("\n"+text, "\n"+indent, "\n")
				}
				if eventsKey.MatchString(text) {
					found[fmt.Sprintf("%s:%d", path, 1+strings.Count(string(raw[:at[0]]), "\n"))] = text
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestWhatTheDocumentationShowsLoadsAndPassesTheSchema(t *testing.T) {
	schema, all := compiled(t), samples(t)
	if len(all) < 2 {
		t.Errorf("found only %d samples: this test sees nothing", len(all))
	}
	for place, text := range all {
		t.Run(place, func(t *testing.T) {
			if err := accepts(schema, text); err != nil {
				t.Errorf("the schema: %v", err)
			}
			environ := []string{"DATABASE_URL=postgres://user@host/shop"}
			for _, match := range reference.FindAllStringSubmatch(text, -1) {
				if match[1] != "DATABASE_URL" {
					environ = append(environ, match[1]+"=x")
				}
			}
			path := filepath.Join(t.TempDir(), "application.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(Source{Path: path, Environ: environ}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheSchemaRefusesWhatLoadRefuses(t *testing.T) {
	schema := compiled(t)
	for text, want := range map[string]string{
		"events: {outbx: {}}":                             "outbx",
		"events: {outbox: {batch_size: 0}}":               "batch_size",
		"events: {outbox: {batch_size: many}}":            "batch_size",
		"events: {event_store_backend: oracle}":           "event_store_backend",
		"events: {outbox: {poll_interval: soon}}":         "poll_interval",
		"events: {postgres: {dsn: [a, b]}}":               "dsn",
		"events: {outbox: {enabled: true, enabbled: no}}": "enabbled",
	} {
		if err := accepts(schema, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the schema says %v", text, err)
		}
		path := filepath.Join(t.TempDir(), "application.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(Source{Path: path, Environ: []string{"A=b"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Load says %v", text, err)
		}
	}
	for _, text := range []string{
		"events: {}", "events: {outbox: true, sagas: {enabled: false}}", "events: {outbox: {poll_interval: 30s, batch_size: '${N}'}}", "other: 1\nevents: {name: shop}",
	} {
		if err := accepts(schema, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

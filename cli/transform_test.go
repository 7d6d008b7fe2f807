package cli_test

import (
	"os"
	"path/filepath"
	"testing"
)

// written puts a text into a file.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const orderRules = `rules:
  - rename_type: {from: item.counted, to: item.sold}
  - rename_field: {type: item.sold, field: n, to: number}
  - set_default: {type: item.sold, field: currency, value: EUR}
  - move_category: {from: item, to: article}
`

func TestEventsAreChangedOnTheWayByTheRulesOfAFile(t *testing.T) {
	s := newShell(t)
	s.append("item-1", "item.counted", `{"n":1}`)
	s.append("item-2", "item.counted", `{"n":12345678901234567890}`)
	s.append("other-1", "other", `{}`)
	rules, target := written(t, "rules.yaml", orderRules), "sqlite:"+filepath.Join(t.TempDir(), "copy.db")
	has(t, s.must("copy", "--to", target, "--transform", rules, "--dry-run"), "would read 3 events up to position 3, and write 3 events", "nothing was written",
		"item.counted  2       2 item.sold", "- item-1 item.counted v1 {\"n\":1}", `+ article-1 item.sold v1 {"currency":"EUR","number":1}`)
	if _, err := os.Stat(target[len("sqlite:"):]); err == nil {
		t.Error("the dry run has made the target")
	}
	has(t, s.must("copy", "--to", target, "--transform", rules, "--verify"), "read 3 events up to position 3, wrote 3 events", "proven: the target holds the 3 events")
	s.append("item-1", "item.counted", `{"n":2}`)
	has(t, s.must("copy", "--to", target, "--transform", rules, "--verify", "--rate", "100000"), "read 1 event up to position 4, wrote 1 event", "4 in all", "the 4 events")
	has(t, s.must("read", "article-2", "--store", target, "--json"), `"number":12345678901234567890`, "item.sold")

	has(t, s.must("copy", "--within", "--transform", rules, "--name", "articles", "--verify"), "wrote 3 events", "proven")
	has(t, s.must("read", "article-1"), "item.sold")
	has(t, s.must("copy", "--within", "--transform", rules, "--name", "articles"), "wrote 0 events")
}

func TestACopyWithFaultyRulesOrFlagsIsRefused(t *testing.T) {
	s := newShell(t)
	s.append("item-1", "item.counted", `{"n":1}`)
	good, target := written(t, "rules.yaml", orderRules), "sqlite:"+filepath.Join(t.TempDir(), "copy.db")
	refused := func(code int, want []string, args ...string) {
		t.Helper()
		s.refuses(code, want, append([]string{"copy", "--to", target}, args...)...)
	}
	refused(1, []string{"rules.yaml", "rule 2", "drop_feild"}, "--transform", written(t, "rules.yaml", "rules:\n  - drop_type: {type: a}\n  - drop_feild: {type: a}\n"))
	refused(1, []string{"rules.yaml", "[2:"}, "--transform", written(t, "rules.yaml", "rules:\n  - drop_type: {type: a\n"))
	refused(1, []string{"rules.json"}, "--transform", written(t, "rules.json", orderRules))
	refused(1, []string{"no such file"}, "--transform", "/nowhere.yaml")
	refused(2, []string{"--between", "25:00"}, "--transform", good, "--between", "25:00-3:00")
	refused(2, []string{"--between", "same"}, "--transform", good, "--between", "3:00-03:00")
	refused(2, []string{"--at", "zone"}, "--transform", good, "--at", "tomorrow")
	refused(2, []string{"--rate"}, "--transform", good, "--rate", "-1")
	refused(2, []string{"--follow"}, "--transform", good, "--follow")
	refused(2, []string{"--transform FILE"}, "--rate", "5")
	refused(2, []string{"leave --to out"}, "--transform", good, "--within")
	s.refuses(2, []string{"move_category"}, "copy", "--within", "--transform", written(t, "rules.yaml", "rules:\n  - drop_type: {type: a}\n"))
	other := newShell(t)
	other.append("item-1", "x", `{}`)
	s.refuses(1, []string{"the target holds something else"}, "copy", "--to", other.store, "--transform", good)
}

// FuzzTransformFile: whatever stands in a file of rules, reading it gives rules or an error.
func FuzzTransformFile(f *testing.F) {
	for _, text := range []string{orderRules, "rules: [", "rules:\n- {}\n", "a: &a [*a]", "? : ", "rules: !!binary x", "{\"rules\": [{\"drop_type\": {\"type\": \"a\"}}]}", "- 1\n- &x {<<: *x}", "%YAML 9\n---\n", "\xff", "rules: 1e999"} {
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "rules.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := newShell(t)
		if o := s.run("copy", "--within", "--transform", path, "--dry-run"); o.code == 0 && o.stderr != "" || o.code != 0 && o.stderr == "" {
			t.Errorf("got %+v", o)
		}
	})
}

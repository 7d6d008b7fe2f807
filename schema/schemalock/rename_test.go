package schemalock_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"lexigram.dev/events/schema"
	"lexigram.dev/events/schema/schemalock"
)

type order struct {
	Lines int `json:"lines"`
}

type half struct {
	Lines int32 `json:"lines"`
}

func with(t *testing.T, errs func(r *schema.Registry) error) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	if err := errs(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// told joins the changes, those that break with "!".
func told(changes []schemalock.Change) string {
	var lines []string
	for _, c := range changes {
		line := c.String()
		if c.Breaks {
			line = "! " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestRenamingSplittingAndDroppingAreToldFromForgetting(t *testing.T) {
	placed := with(t, func(r *schema.Registry) error { return schema.Register[order](r, "order.created", schema.Options{}) })
	lock := schemalock.Take(placed, nil)
	split := func(order) ([]any, error) { return nil, nil }
	for name, c := range map[string]struct {
		now  *schema.Registry
		mode schemalock.Compatibility
		want []string
	}{
		"renamed": {with(t, func(r *schema.Registry) error {
			return schema.Register[order](r, "order.placed", schema.Options{Aliases: []string{"order.created"}})
		}), schemalock.Backward, []string{"order.created: is called order.placed now"}},
		"renamed, forward": {with(t, func(r *schema.Registry) error {
			return schema.Register[order](r, "order.placed", schema.Options{Aliases: []string{"order.created"}})
		}), schemalock.Forward, []string{"! order.created: is called order.placed now", "as an alias first"}},
		"renamed, changed": {with(t, func(r *schema.Registry) error {
			return schema.Register[half](r, "order.placed", schema.Options{Aliases: []string{"order.created"}})
		}), schemalock.Backward, []string{"! order.created, field lines"}},
		"alias": {with(t, func(r *schema.Registry) error {
			return schema.Register[order](r, "order.created", schema.Options{Aliases: []string{"order.placed"}})
		}), schemalock.Full, []string{"order.created: is read under the name order.placed too"}},
		"split": {with(t, func(r *schema.Registry) error {
			return errors.Join(schema.Split(r, "order.created", schema.Options{}, split, schema.Into[half]()), schema.Register[half](r, "half", schema.Options{}))
		}), schemalock.Full, []string{"half: is new", "! order.created: is read as schemalock_test.half now"}},
		"dropped":   {with(t, func(r *schema.Registry) error { return schema.Drop(r, "order.created") }), schemalock.Backward, []string{"order.created: is read as nothing now"}},
		"forgotten": {schema.NewRegistry(), schemalock.Backward, []string{"! order.created: is not registered any more", "schema.Drop"}},
	} {
		got := told(lock.Check(c.now, c.mode))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q in it", name, got, want)
			}
		}
		if strings.Contains(got, "!") != strings.Contains(strings.Join(c.want, ""), "!") {
			t.Errorf("%s: got %q", name, got)
		}
		next := schemalock.Take(c.now, lock)
		if name != "forgotten" && len(next.Check(c.now, schemalock.Full)) != 0 {
			t.Errorf("%s: a new lock is not up to date: %s", name, told(next.Check(c.now, schemalock.Full)))
		}
		path := filepath.Join(t.TempDir(), "lock.json")
		if err := next.Write(path); err != nil {
			t.Fatal(err)
		}
		if _, err := schemalock.Read(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	aliased := schemalock.Take(with(t, func(r *schema.Registry) error {
		return schema.Register[order](r, "order.placed", schema.Options{Aliases: []string{"order.created"}})
	}), lock)
	without := with(t, func(r *schema.Registry) error { return schema.Register[order](r, "order.placed", schema.Options{}) })
	if got := told(aliased.Check(without, schemalock.Backward)); !strings.Contains(got, "! order.placed: is not read under the name order.created any more") {
		t.Errorf("got %q", got)
	}
}

func TestTwoVersionsOfALockAreCompared(t *testing.T) {
	one := schemalock.Take(with(t, func(r *schema.Registry) error { return schema.Register[order](r, "order.placed", schema.Options{}) }), nil)
	up := schema.Upcast(1, func(o order) (half, error) { return half{int32(o.Lines)}, nil }) //nolint:gosec // small
	both := schemalock.Take(with(t, func(r *schema.Registry) error {
		return schema.Register[half](r, "order.placed", schema.Options{Version: 2, Upcasters: []schema.Upcaster{up}})
	}), one)
	for _, c := range []struct {
		from, to int
		mode     schemalock.Compatibility
		breaks   bool
	}{
		{1, 2, schemalock.Backward, true},
		{1, 2, schemalock.Forward, false},
		{1, 2, schemalock.Full, true},
		{2, 1, schemalock.Backward, false},
		{2, 1, schemalock.Forward, true},
		{1, 1, schemalock.Full, false},
	} {
		changes, err := both.Compare("order.placed", c.from, c.to, c.mode)
		if err != nil || strings.Contains(told(changes), "!") != c.breaks {
			t.Errorf("%d to %d, %s: %q (%v)", c.from, c.to, c.mode, told(changes), err)
		}
	}
	if _, err := both.Compare("order.lost", 1, 2, schemalock.Full); err == nil {
		t.Error("a type that is not there was compared")
	}
	if _, err := both.Compare("order.placed", 1, 3, schemalock.Full); err == nil || !strings.Contains(err.Error(), "no version 3 is locked, only 1, 2") {
		t.Errorf("got %v", err)
	}
}

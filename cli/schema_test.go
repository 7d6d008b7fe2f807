package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lexigram.dev/events/cli"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/schema"
)

// linked runs the commands of a program with these event types.
func linked(t *testing.T, r *schema.Registry) func(code int, args ...string) (out string) {
	t.Helper()
	commands := cli.New(cli.Options{Drivers: drivers.All(), Registry: r})
	return func(code int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if got := commands.Run(t.Context(), args, nil, &out, &out); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, out.String())
		}
		return out.String()
	}
}

func registered[T any](t *testing.T, o schema.Options) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	if err := schema.Register[T](r, "order.placed", o); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifyDecodesEachEventWithTheProgramsTypes(t *testing.T) {
	s := newShell(t)
	s.must("append", "order-7", "--type", "order.placed", "--data", `{"lines": 1}`)
	run := linked(t, registered[struct {
		Lines int `json:"lines"`
	}](t, schema.Options{}))
	has(t, run(0, "verify", "--store", s.store), "ok")
	s.must("append", "order-7", "--type", "order.shipped", "--data", "{}")
	has(t, run(1, "verify", "--store", s.store), "stream order-7, version 2, position 2", "order.shipped", "not registered")
}

func TestTheLockGuardsWhatIsStored(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock.json")
	type before struct {
		Lines int `json:"lines"`
	}
	type more struct {
		Lines int    `json:"lines"`
		Note  string `json:"note"`
	}
	type less struct{}
	old, newer, broken := linked(t, registered[before](t, schema.Options{})), linked(t, registered[more](t, schema.Options{})), linked(t, registered[less](t, schema.Options{}))

	has(t, old(1, "schema", "check", "--lock", lock), "take a snapshot first")
	has(t, old(0, "schema", "snapshot", "--lock", lock), "wrote "+lock+": 1 event type")
	has(t, old(0, "schema", "check", "--lock", lock), "ok: 1 event type")
	has(t, old(0, "schema", "diff", "--lock", lock), "nothing has changed")

	has(t, newer(1, "schema", "check", "--lock", lock), "field note: is new", "out of date", "run: ", "schema snapshot --lock "+lock)
	has(t, newer(0, "schema", "compare", "order.placed", "1", "1", "--lock", lock, "--mode", "full"), "nothing has changed")
	has(t, newer(1, "schema", "compare", "order.placed", "1", "2", "--lock", lock), "no version 2 is locked, only 1")
	has(t, newer(0, "schema", "diff", "--lock", lock, "--json"), `"field":"note"`, `"breaks":false`)

	has(t, broken(1, "schema", "check", "--lock", lock), "BREAKS", "order.placed, field lines: has gone", "1 change would break", "LEX_ERR_EVT_022")
	content, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	has(t, broken(1, "schema", "snapshot", "--lock", lock), "nothing was written", "LEX_ERR_EVT_022")
	if after, err := os.ReadFile(lock); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the lock has changed (%v)", err)
	}
	broken(0, "schema", "snapshot", "--lock", lock, "--force")
	has(t, broken(0, "schema", "check", "--lock", lock), "ok")

	has(t, old(2, "schema", "check", "--lock", lock, "--mode", "sideways"), "sideways", "backward forward full")
	newShell(t).refuses(1, []string{"links no event types"}, "schema", "check")
}

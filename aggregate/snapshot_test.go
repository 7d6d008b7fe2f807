package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// reports collects what Snapshots.OnError is told.
type reports struct{ errs []string }

func (r *reports) add(_ context.Context, stream event.StreamID, err error) {
	r.errs = append(r.errs, string(stream)+": "+err.Error())
}

// keys lists the stored snapshots by key.
func (b *bank) keys(t *testing.T) []string {
	t.Helper()
	var keys []string
	for record, err := range b.store.Scan(t.Context(), store.Scan{Bucket: "snapshot-account"}) {
		must(t, err)
		keys = append(keys, record.Key)
	}
	return keys
}

func TestSnapshotsAreTakenEveryNEventsAndTheLastFiveStay(t *testing.T) {
	for i := range 2 {
		b := newBank(t)
		s := styles(t, b, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 10}})[i]
		for range 85 {
			must(t, s.deposit(t.Context(), "ada", nothing))
		}
		want := []string{
			"ada@0000000000000000040", "ada@0000000000000000050", "ada@0000000000000000060",
			"ada@0000000000000000070", "ada@0000000000000000080",
		}
		if got := b.keys(t); !slices.Equal(got, want) {
			t.Errorf("%s: snapshots %q", s.name, got)
		}
		b.froms()
		if got := s.balance(t.Context(), "ada"); got != 85 {
			t.Errorf("%s: the balance is %d, want 85", s.name, got)
		}
		if got := b.froms(); !slices.Equal(got, []event.Version{81}) {
			t.Errorf("%s: reads from %v, want 81", s.name, got)
		}
	}
}

func TestByDefaultASnapshotIsTakenEvery100Events(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{}})
	a, err := accounts.New("ada")
	must(t, err)
	for range 2 {
		for range 99 {
			must(t, a.deposit(1))
		}
		_, err = accounts.Save(t.Context(), a)
		must(t, err)
	}
	if got := b.keys(t); !slices.Equal(got, []string{"ada@0000000000000000198"}) {
		t.Errorf("snapshots %q", got)
	}
}

func TestSnapshotsAreTakenByAge(t *testing.T) {
	b := newBank(t)
	now := time.Now()
	accounts := b.accounts(t, aggregate.Options{
		Snapshots: &aggregate.Snapshots{Every: -1, MaxAge: time.Hour},
		Now:       func() time.Time { return now },
	})
	for _, step := range []time.Duration{0, time.Minute, 2 * time.Hour, time.Minute, 2 * time.Hour} {
		now = now.Add(step)
		_, err := accounts.Update(t.Context(), "ada", func(a *account) error { return a.deposit(1) })
		must(t, err)
	}
	if got := b.keys(t); !slices.Equal(got, []string{"ada@0000000000000000003", "ada@0000000000000000005"}) {
		t.Errorf("snapshots %q", got)
	}
}

func TestASnapshotAtTheTipIsLoadedWithItsVersion(t *testing.T) {
	for i := range 2 {
		b := newBank(t)
		o := aggregate.Options{Snapshots: &aggregate.Snapshots{Every: -1}}
		b.deposits(t, "ada", 3)
		must(t, b.accounts(t, o).Snapshot(t.Context(), "ada"))
		a, err := b.accounts(t, o).Load(t.Context(), "ada")
		must(t, err)
		if a.Version() != 3 || a.Balance != 3 || a.ID() != "ada" || len(a.Log) != 3 {
			t.Errorf("loaded %+v at version %d", a, a.Version())
		}
		must(t, b.accounts(t, o).DropSnapshots(t.Context(), "ada"))
		must(t, b.ledgers(t, o).Snapshot(t.Context(), "ada"))
		l, err := b.ledgers(t, o).Load(t.Context(), "ada")
		if err != nil || l.Version != 3 || l.Value.Balance != 3 {
			t.Errorf("loaded %+v, %v", l, err)
		}
		must(t, b.ledgers(t, o).DropSnapshots(t.Context(), "ada"))
		s := styles(t, b, o)[i]
		must(t, s.deposit(t.Context(), "ada", nothing)) // appends after the right version
	}
}

func TestAConflictAfterASnapshotRebuildsFromIt(t *testing.T) {
	for i := range 2 {
		b := newBank(t)
		s := styles(t, b, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 10}})[i]
		for range 12 {
			must(t, s.deposit(t.Context(), "ada", nothing))
		}
		b.froms()
		first := true
		must(t, s.deposit(t.Context(), "ada", func() {
			if first {
				first = false
				b.deposits(t, "ada", 1)
			}
		}))
		if got := b.froms(); !slices.Equal(got, []event.Version{11, 13}) {
			t.Errorf("%s: reads from %v", s.name, got)
		}
		if got := s.balance(t.Context(), "ada"); got != 14 {
			t.Errorf("%s: the balance is %d, want 14", s.name, got)
		}
	}
}

func TestASnapshotOfAnotherShapeIsIgnored(t *testing.T) {
	b, r := newBank(t), &reports{}
	b.deposits(t, "ada", 3)
	old := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{Version: 1}})
	must(t, old.Snapshot(t.Context(), "ada"))
	young := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{Version: 2, OnError: r.add}})
	b.froms()
	a, err := young.Load(t.Context(), "ada")
	if got := b.froms(); err != nil || a.Balance != 3 || !slices.Equal(got, []event.Version{1}) {
		t.Errorf("loaded %+v, %v, reads from %v", a, err, got)
	}
	if len(r.errs) != 0 {
		t.Errorf("reported %q, but another shape is no fault", r.errs)
	}
}

func TestACorruptSnapshotIsIgnoredAndReported(t *testing.T) {
	for name, corrupt := range map[string]func([]byte) []byte{
		"no header":        func([]byte) []byte { return []byte("rubbish") },
		"a broken header":  func(v []byte) []byte { return append([]byte("x"), v...) },
		"a flipped state":  func(v []byte) []byte { v[len(v)-2] ^= 1; return v },
		"a cut state":      func(v []byte) []byte { return v[:len(v)-3] },
		"another version":  func(v []byte) []byte { return []byte(strings.Replace(string(v), `"version":3`, `"version":2`, 1)) },
		"another encoding": func(v []byte) []byte { return []byte(strings.Replace(string(v), "application/json", "text/plain", 1)) },
		"an undecodable one": func([]byte) []byte {
			return []byte(`{"schema":1,"version":3,"content_type":"application/json","crc32":0}` + "\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := newBank(t), &reports{}
			accounts := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{OnError: r.add}})
			b.deposits(t, "ada", 2)
			must(t, accounts.Snapshot(t.Context(), "ada"))
			b.deposits(t, "ada", 1)
			must(t, accounts.Snapshot(t.Context(), "ada"))
			key := b.keys(t)[1]
			record, err := b.store.Get(t.Context(), "snapshot-account", key)
			must(t, err)
			_, err = b.store.Apply(t.Context(), store.Put("snapshot-account", key, corrupt(record.Value)))
			must(t, err)
			b.froms()
			a, err := accounts.Load(t.Context(), "ada")
			if got := b.froms(); err != nil || a.Balance != 3 || a.Version() != 3 || !slices.Equal(got, []event.Version{3}) {
				t.Errorf("loaded %+v, %v, reads from %v, want the older snapshot", a, err, got)
			}
			if len(r.errs) != 1 || !strings.Contains(r.errs[0], "account-ada: ignored snapshot "+key) {
				t.Errorf("reported %q", r.errs)
			}
		})
	}
}

func TestASnapshotThatCannotBeWrittenFailsNothing(t *testing.T) {
	b, r := newBank(t), &reports{}
	b.apply = func() error { return store.ErrFull }
	s := styles(t, b, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 1, OnError: r.add}})
	must(t, s[0].deposit(t.Context(), "ada", nothing))
	must(t, s[1].deposit(t.Context(), "ada", nothing))
	if len(r.errs) != 2 || !strings.Contains(r.errs[0], "take a snapshot of account-ada") || !strings.Contains(r.errs[0], "full") {
		t.Errorf("reported %q", r.errs)
	}
	wantError(t, b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{}}).Snapshot(t.Context(), "ada"), store.ErrFull)
}

func TestASnapshotIsWrittenThoughTheCallersContextEnds(t *testing.T) {
	b := newBank(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.afterAppend = func(_ int, res store.Result, err error) (store.Result, error) {
		cancel()
		return res, err
	}
	s := styles(t, b, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 1}})[0]
	must(t, s.deposit(ctx, "ada", nothing))
	if got := b.keys(t); len(got) != 1 {
		t.Errorf("snapshots %q", got)
	}
}

func TestASnapshotAheadOfTheLogIsLeftAside(t *testing.T) {
	b, other := newBank(t), newBank(t)
	o := aggregate.Options{Snapshots: &aggregate.Snapshots{}}
	other.deposits(t, "ada", 9)
	must(t, other.accounts(t, o).Snapshot(t.Context(), "ada"))
	record, err := other.store.Get(t.Context(), "snapshot-account", other.keys(t)[0])
	must(t, err)
	_, err = b.store.Apply(t.Context(), store.Put(record.Bucket, record.Key, record.Value))
	must(t, err)
	b.deposits(t, "ada", 2)
	must(t, styles(t, b, o)[0].deposit(t.Context(), "ada", nothing))
	info, err := b.store.StreamInfo(t.Context(), "account-ada")
	if err != nil || info.Version != 3 {
		t.Errorf("the stream is at %d, %v", info.Version, err)
	}
}

func TestSnapshotsOfIDsThatLookAlikeAreKeptApart(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: -1, Keep: 1}})
	ids := []string{"a", "a@0000000000000000001", "a@", "a@x", "aA"}
	for n, id := range ids {
		b.deposits(t, id, n+1)
		must(t, accounts.Snapshot(t.Context(), id))
	}
	for n, id := range ids {
		must(t, accounts.Snapshot(t.Context(), id)) // prunes, its own alone
		b.froms()
		a, err := accounts.Load(t.Context(), id)
		if got := b.froms(); err != nil || a.Balance != n+1 || !slices.Equal(got, []event.Version{event.Version(n + 2)}) {
			t.Errorf("%s: %+v, %v, reads from %v", id, a, err, got)
		}
	}
	must(t, accounts.DropSnapshots(t.Context(), "a"))
	if got := b.keys(t); len(got) != len(ids)-1 {
		t.Errorf("snapshots %q", got)
	}
}

type secretive struct {
	aggregate.Root
	Items   []item
	When    time.Time
	Skipped func() `json:"-"`
	balance int
}

type item struct{ price int }

func (*secretive) Apply(any) error { return nil }

// discreet encodes itself, so its private field is its own business.
type discreet struct {
	aggregate.Root
	balance int
}

func (d *discreet) Apply(e any) error            { d.balance += e.(deposited).Amount; return nil }
func (d *discreet) MarshalJSON() ([]byte, error) { return json.Marshal(d.balance) }
func (d *discreet) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &d.balance) }

func TestASnapshotThatWouldLosePrivateStateIsRefusedAtStartUp(t *testing.T) {
	b := newBank(t)
	o := aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 1}}
	_, err := aggregate.NewRepository[secretive](b.store, b.registry, "account", o)
	wantError(t, err, nil, "aggregate_test.secretive.balance", "aggregate_test.secretive.Items[].price", "Snapshots.Codec")
	if strings.Contains(err.Error(), "When") || strings.Contains(err.Error(), "Root") {
		t.Errorf("too much is refused: %v", err)
	}
	_, err = aggregate.NewRepository[secretive](b.store, b.registry, "account", aggregate.Options{})
	must(t, err)

	accounts, err := aggregate.NewRepository[discreet](b.store, b.registry, "account", o)
	must(t, err)
	for range 3 {
		_, err = accounts.Update(t.Context(), "ada", func(d *discreet) error { return aggregate.Record(d, deposited{2}) })
		must(t, err)
	}
	d, err := accounts.Load(t.Context(), "ada")
	if err != nil || d.balance != 6 || d.Version() != 3 {
		t.Errorf("loaded %+v, %v", d, err)
	}
}

// mute is a codec that cannot encode.
type mute struct{}

func (mute) ContentType() string         { return "x/mute" }
func (mute) Marshal(any) ([]byte, error) { return nil, errors.New("mute") }
func (mute) Unmarshal([]byte, any) error { return nil }

func TestACodecThatDoesNotWorkIsRefusedAtStartUp(t *testing.T) {
	b := newBank(t)
	_, err := aggregate.NewRepository[account](b.store, b.registry, "account", aggregate.Options{Snapshots: &aggregate.Snapshots{Codec: mute{}}})
	wantError(t, err, nil, "mute", "there and back")
}

func TestSnapshotsOnDemandNeedThemOn(t *testing.T) {
	b := newBank(t)
	accounts := b.accounts(t, aggregate.Options{})
	wantError(t, accounts.Snapshot(t.Context(), "ada"), nil, "Options.Snapshots")
	wantError(t, accounts.DropSnapshots(t.Context(), "ada"), nil, "Options.Snapshots")
	snapped := b.ledgers(t, aggregate.Options{Snapshots: &aggregate.Snapshots{}})
	wantError(t, snapped.Snapshot(t.Context(), "ada"), store.ErrNotFound)
	wantError(t, snapped.DropSnapshots(t.Context(), ""), store.ErrInvalid)
}

package storetest

import (
	"context"
	"errors"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func transactionClauses() []clause {
	clauses := []clause{
		{rule: "commits appends and records of a transaction together", prove: commitsTogether},
		{rule: "rolls everything back when the function fails or panics", prove: rollsBack},
		{rule: "lets calls in a transaction see what it did and others not", prove: isolates},
		{rule: "keeps positions gapless around transactions", prove: staysGapless},
		{rule: "reports conflicts and duplicates inside a transaction", prove: conflictsInside},
	}
	for i := range clauses {
		clauses[i].needs = offers[store.Transactor]
	}
	return clauses
}

var errRefused = errors.New("refused by the user's function")

func commitsTogether(t *testing.T, s *subject) {
	err := s.Transact(s.ctx, func(ctx context.Context) error {
		if _, err := s.Append(ctx, "a-1", store.NoStream(), evs(2)...); err != nil {
			return err
		}
		return s.Transact(ctx, func(ctx context.Context) error { // joins
			if _, err := s.Append(ctx, "b-1", store.NoStream(), ev("x")); err != nil {
				return err
			}
			_, err := s.Apply(ctx, store.Put("b", "k", []byte("v")))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.checkLog(t)); n != 3 {
		t.Errorf("the log has %d events, want 3", n)
	}
	if r, err := s.Get(s.ctx, "b", "k"); err != nil || string(r.Value) != "v" {
		t.Errorf("the record is %q, %v", r.Value, err)
	}
}

func rollsBack(t *testing.T, s *subject) {
	change := func(ctx context.Context) {
		if _, err := s.Append(ctx, "a-1", store.Any(), evs(2)...); err != nil {
			t.Error(err)
		}
		if _, err := s.Apply(ctx, store.Put("b", "k", nil)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Transact(s.ctx, func(ctx context.Context) error { change(ctx); return errRefused }); !errors.Is(err, errRefused) {
		t.Errorf("got %v, want the function's error", err)
	}
	if err := s.Transact(s.ctx, func(ctx context.Context) error {
		return s.Transact(ctx, func(ctx context.Context) error { change(ctx); return errRefused })
	}); !errors.Is(err, errRefused) {
		t.Errorf("inner: got %v, want the function's error", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the function's panic was swallowed")
			}
		}()
		_ = s.Transact(s.ctx, func(ctx context.Context) error { change(ctx); panic("at the worst moment") })
	}()
	if n := len(s.checkLog(t)); n != 0 {
		t.Errorf("rolled back transactions left %d events", n)
	}
	if _, err := s.Get(s.ctx, "b", "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("rolled back transactions left a record: %v", err)
	}
	s.mustAppend(t, "a-1", store.NoStream(), ev("x"))
}

func isolates(t *testing.T, s *subject) {
	err := s.Transact(s.ctx, func(ctx context.Context) error {
		if _, err := s.Append(ctx, "a-1", store.NoStream(), evs(2)...); err != nil {
			return err
		}
		if _, err := s.Apply(ctx, store.Put("b", "k", []byte("v"))); err != nil {
			return err
		}
		for what, c := range map[string]struct {
			ctx  context.Context
			want int
		}{"inside": {ctx, 2}, "outside": {s.ctx, 0}} {
			if n := len(all(t, s.ReadStream(c.ctx, store.StreamRead{Stream: "a-1"}))); n != c.want {
				t.Errorf("%s: the stream has %d events, want %d", what, n, c.want)
			}
			if n := len(all(t, s.ReadLog(c.ctx, store.LogRead{}))); n != c.want {
				t.Errorf("%s: the log has %d events, want %d", what, n, c.want)
			}
			if head, err := s.Head(c.ctx); err != nil || int(head) != c.want {
				t.Errorf("%s: the head is %d (%v), want %d", what, head, err, c.want)
			}
			if n := len(all(t, s.Scan(c.ctx, store.Scan{Bucket: "b"}))); n != c.want/2 {
				t.Errorf("%s: the bucket has %d records, want %d", what, n, c.want/2)
			}
			_, err := s.StreamInfo(c.ctx, "a-1")
			_, err2 := s.Get(c.ctx, "b", "k")
			if (err == nil) != (c.want > 0) || (err2 == nil) != (c.want > 0) {
				t.Errorf("%s: StreamInfo gives %v, Get gives %v", what, err, err2)
			}
		}
		_, err := s.Append(ctx, "a-1", store.Exactly(2), ev("more"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.checkLog(t)
}

func staysGapless(t *testing.T, s *subject) {
	for i := range 6 {
		err := s.Transact(s.ctx, func(ctx context.Context) error {
			if _, err := s.Append(ctx, "t-1", store.Any(), evs(1+i)...); err != nil {
				return err
			}
			if i%2 == 0 {
				return errRefused
			}
			return nil
		})
		if (err != nil) != (i%2 == 0) {
			t.Fatal(err)
		}
		s.mustAppend(t, "a-1", store.Any(), evs(2)...)
	}
	s.checkLog(t)
}

func conflictsInside(t *testing.T, s *subject) {
	e := ev("x", "k:1")
	first := s.mustAppend(t, "a-1", store.NoStream(), e)
	try := func(call func(ctx context.Context) (store.Result, error)) (store.Result, error) {
		var res store.Result
		err := s.Transact(s.ctx, func(ctx context.Context) (err error) {
			res, err = call(ctx)
			return err
		})
		return res, err
	}
	_, err := try(func(ctx context.Context) (store.Result, error) {
		return s.Append(ctx, "a-1", store.Exactly(4), ev("y"))
	})
	wantConflict(t, err, "a-1", store.Exactly(4), 1)
	_, err = try(func(ctx context.Context) (store.Result, error) {
		return s.AppendIf(ctx, "b-1", store.Condition{Query: store.Query{{Tags: []event.Tag{"k:1"}}}}, ev("y"))
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("broken condition: %v", err)
	}
	again, err := try(func(ctx context.Context) (store.Result, error) { return s.Append(ctx, "a-1", store.NoStream(), e) })
	repeated(t, "an append repeated in a transaction", again, first, err)
	if n := len(s.checkLog(t)); n != 1 {
		t.Errorf("the log has %d events, want 1", n)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// run is the test.
func (t *feedtest) run(ctx context.Context) (err error) {
	if t.folder, err = os.MkdirTemp("", "feedtest"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(t.folder)
		} else {
			fmt.Fprintln(os.Stderr, "feedtest: what is left is in", t.folder)
		}
	}()
	if t.store == "" {
		t.store = "sqlite:" + filepath.Join(t.folder, "events.db")
	}
	s, err := openStore(ctx, t.store, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if head, err := s.Head(ctx); err != nil || head > 0 {
		return errors.Join(fmt.Errorf("the store holds %d events: give an empty one", head), err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := t.crowd(program)
	for i := range c.running {
		if err := c.start(i); err != nil {
			return err
		}
	}
	m, err := newModels(s, t.folder)
	if err != nil {
		return errors.Join(err, c.stop())
	}
	l, reads, err := t.fire(ctx, s, m, c)
	if err == nil {
		fmt.Printf("load:        %d events appended by %d writers, %d of them poisoned\n", l.appended.Load(), t.writers, l.poisoned.Load())
		fmt.Printf("chaos:       %d consumers killed with -9, %d frozen until their leases were over\n", c.kills, c.freezes)
		fmt.Printf("readers:     %d reads of documents during a rebuild and all this, none went back\n", reads)
		err = t.settle(ctx, s, m)
	}
	if err = errors.Join(err, c.stop()); err != nil {
		return err
	}
	return t.verify(ctx, s, m, l)
}

// fire writes, kills, reads and rebuilds, all at once.
func (t *feedtest) fire(ctx context.Context, s *store.Store, m *models, c *crowd) (l *load, reads int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.lasts)
	defer cancel()
	l = &load{}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		faults  []error
	)
	spawn := func(do func() error) {
		running.Go(func() {
			if err := do(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, err)
				cancel()
			}
		})
	}
	for range t.writers {
		spawn(func() error { return l.write(ctx, s) })
	}
	spawn(func() error { return c.torment(ctx) })
	spawn(func() (err error) { reads, err = watch(ctx, m); return err })
	spawn(func() error { return t.rebuild(ctx, s) })
	running.Wait()
	return l, reads, errors.Join(faults...)
}

// rebuild asks for a rebuild of the documents when a third of the time is over.
func (t *feedtest) rebuild(ctx context.Context, s *store.Store) error {
	if !wait(ctx, t.lasts/3) {
		return nil
	}
	_, err := projection.NewControl(s).Rebuild(ctx, "totals", projection.RebuildOptions{})
	return err
}

// watch reads documents as any reader would; one that goes back would be of a half-built model.
func watch(ctx context.Context, m *models) (reads int64, err error) {
	seen := map[event.StreamID]total{}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return reads, nil
		case <-ticker.C:
		}
		stream := streamName(rand.N(streams))
		doc, err := m.docs.Get(ctx, stream.Key())
		switch {
		case ctx.Err() != nil:
			return reads, nil
		case errors.Is(err, store.ErrNotFound) && seen[stream].Events == 0:
			continue
		case err != nil:
			return reads, fmt.Errorf("a reader, who has seen %+v of %s: %w", seen[stream], stream, err)
		case doc.Events < seen[stream].Events || event.Version(doc.Events) != doc.Last:
			return reads, fmt.Errorf("a reader has seen %+v of %s, and now sees %+v", seen[stream], stream, doc)
		}
		seen[stream] = doc
		reads++
	}
}

// settle waits until all is handled.
func (t *feedtest) settle(ctx context.Context, s *store.Store, m *models) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	start := time.Now()
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"handler", "outbox-relay"} {
		for {
			status, err := subscription.NewControl(s).Status(ctx, name)
			if err != nil {
				return err
			}
			if status.Position >= head {
				break
			}
			if !wait(ctx, 50*time.Millisecond) {
				return fmt.Errorf("subscription %s stays %s at position %d of %d: %s", name, status.State, status.Position, head, status.Error)
			}
		}
	}
	for _, p := range []*projection.Projection{m.totals, m.table} {
		if err := p.WaitFor(ctx, head); err != nil {
			return fmt.Errorf("projection %s: %w", p.Name(), err)
		}
	}
	status, err := projection.NewControl(s).Status(ctx, "totals")
	if err != nil {
		return err
	}
	for status.Building != nil {
		if !wait(ctx, 50*time.Millisecond) {
			return fmt.Errorf("the rebuild does not end: %+v", status)
		}
		if status, err = projection.NewControl(s).Status(ctx, "totals"); err != nil {
			return err
		}
	}
	if status.Live.Number < 2 {
		return fmt.Errorf("the rebuilt generation is not live: %+v", status)
	}
	fmt.Printf("settled:     all is handled up to position %d, %v after the last append; generation %d is live\n",
		head, time.Since(start).Round(time.Millisecond), status.Live.Number)
	return nil
}

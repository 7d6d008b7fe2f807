package schedule_test

import (
	"context"
	"fmt"
	"sync"

	"lexigram.dev/events/store"
)

// mortal is a backend as a process sees it that dies: from then on nothing it writes has an effect. It dies at its n-th
// write, which has an effect or not, or when it is killed.
type mortal struct {
	store.Backend
	mu     sync.Mutex
	n      int  // 0: it lives
	effect bool // of the write at which it dies
	dead   bool
	writes int
}

var errDead = fmt.Errorf("%w: the process is dead", store.ErrUnavailable)

func (m *mortal) store() *store.Store { return store.New(m, store.Options{}) }

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// goes reports whether a write has an effect, and whether its answer is heard.
func (m *mortal) goes() (effect, answer bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return false, false
	}
	if m.writes++; m.writes == m.n {
		m.dead = true
		return m.effect, false
	}
	return true, true
}

func (m *mortal) Append(ctx context.Context, c store.Commit) (res store.Result, err error) {
	effect, answer := m.goes()
	if effect {
		res, err = m.Backend.Append(ctx, c)
	}
	if !answer {
		return store.Result{}, errDead
	}
	return res, err
}

func (m *mortal) Apply(ctx context.Context, ops []store.Op) (revisions []store.Revision, err error) {
	effect, answer := m.goes()
	if effect {
		revisions, err = m.Backend.Apply(ctx, ops)
	}
	if !answer {
		return nil, errDead
	}
	return revisions, err
}

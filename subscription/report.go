package subscription

import "sync"

// report is how one partition fares, as its status record will tell. It is safe for concurrent use.
type report struct {
	changed chan<- struct{} // capacity 1: there is something new to tell

	mu       sync.Mutex
	reached  bool // the head, once
	attempts int  // failed ones at the event at hand; 0: none fails
	cause    string
	fault    string // of the backend
	untold   bool
}

func (r *report) live()                   { r.set(func() { r.reached = true }) }
func (r *report) recovered()              { r.set(func() { r.attempts, r.cause = 0, "" }) }
func (r *report) retrying(n int, e error) { r.set(func() { r.attempts, r.cause = n, e.Error() }) }

// outage notes a fault of the backend, or with nil its end.
func (r *report) outage(err error) {
	r.set(func() {
		if r.fault = ""; err != nil {
			r.fault = err.Error()
		}
	})
}

func (r *report) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.facts()
	change()
	if r.facts() == before {
		return
	}
	r.untold = true
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// facts is what a status record tells of the partition. The caller holds mu.
func (r *report) facts() facts {
	f := facts{State: StateCatchingUp, Attempts: r.attempts, Error: r.cause}
	if r.reached {
		f.State = StateLive
	}
	if r.attempts > 0 {
		f.State = StateRetrying
	}
	if f.Error == "" {
		f.Error = r.fault
	}
	return f
}

// take gives the facts, and whether they are news.
func (r *report) take() (f facts, news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	news, r.untold = r.untold, false
	return r.facts(), news
}

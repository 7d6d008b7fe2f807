package natsbroker

import (
	"maps"
	"testing"
	"time"
)

// party is a member of a test's group, with a clock of its own.
type party struct {
	*observer
	now time.Time
}

func newParty(id string) *party {
	return &party{observer: newObserver(id, 10*time.Second, 3*time.Second), now: time.Unix(1, 0)}
}

// turn does what a member does now and then, and gives up what it has too much.
func (p *party) turn(l *ledger, partitions int) (taken []int) {
	p.look(l, p.now)
	l.renew(p.id)
	taken, tooMuch := l.take(p.id, partitions)
	for n := range partitions {
		if tooMuch > 0 && l.holds(p.id, n) {
			l.give(p.id, n, "")
			tooMuch--
		}
	}
	return taken
}

func held(l *ledger, id string) (n int) {
	for _, holder := range l.Held {
		if holder == id {
			n++
		}
	}
	return n
}

func TestMembersShareThePartitions(t *testing.T) {
	var l ledger
	a, b, c := newParty("a"), newParty("b"), newParty("c")
	if n := len(a.turn(&l, 8)); n != 8 {
		t.Fatalf("the only member took %d", n)
	}
	for range 4 {
		b.turn(&l, 8)
		c.turn(&l, 8)
		a.turn(&l, 8)
	}
	if x, y, z := held(&l, "a"), held(&l, "b"), held(&l, "c"); x != 3 || y != 3 || z != 2 {
		t.Errorf("they hold %d, %d and %d", x, y, z)
	}
}

func TestADeadMemberIsSeenByTheLackOfRenewalsAlone(t *testing.T) {
	var l ledger
	a, b := newParty("a"), newParty("b")
	b.now = b.now.Add(-1000 * time.Hour) // clocks are not compared
	a.turn(&l, 4)
	b.turn(&l, 4)
	for range 20 { // as long as a renews, it lives
		b.now = b.now.Add(9 * time.Second)
		a.turn(&l, 4)
		b.turn(&l, 4)
	}
	if held(&l, "a") != 2 || held(&l, "b") != 2 {
		t.Fatalf("got %v", l.Held)
	}
	b.now = b.now.Add(9 * time.Second)
	b.turn(&l, 4)
	if held(&l, "a") != 2 {
		t.Error("it was taken for dead too early")
	}
	b.now = b.now.Add(time.Second)
	b.turn(&l, 4)
	if held(&l, "b") != 4 || len(l.Members) != 1 {
		t.Errorf("got %+v", l)
	}
}

func TestAPartitionThatIsAdriftIsNotTakenAtOnce(t *testing.T) {
	l := ledger{Members: map[string]int64{"a": 1}, Held: map[int]string{0: "a", 1: "a"}}
	l.give("b", 0, "x") // not its own
	l.give("a", 0, "x")
	delete(l.Members, "a")
	b := newParty("b")
	if taken := b.turn(&l, 2); len(taken) != 1 || taken[0] != 1 {
		t.Fatalf("took %v, want the other one", taken)
	}
	b.now = b.now.Add(2 * time.Second)
	if taken := b.turn(&l, 2); len(taken) != 0 {
		t.Fatalf("took %v too early", taken)
	}
	l.Adrift[0] = "y" // again
	b.turn(&l, 2)
	b.now = b.now.Add(2 * time.Second)
	if taken := b.turn(&l, 2); len(taken) != 0 {
		t.Fatalf("took %v, which went adrift again meanwhile", taken)
	}
	b.now = b.now.Add(time.Second)
	if taken := b.turn(&l, 2); len(taken) != 1 || len(l.Adrift) != 0 {
		t.Errorf("took %v, adrift: %v", taken, l.Adrift)
	}
}

func TestARenewalIsNoChangeOfShape(t *testing.T) {
	l := ledger{Members: map[string]int64{"a": 1}, Held: map[int]string{0: "a"}}
	o := ledger{Members: map[string]int64{"a": 2}, Held: maps.Clone(l.Held)}
	if !l.sameShape(&o) {
		t.Error("a renewal counts as a change")
	}
	for name, change := range map[string]func(){
		"member":    func() { o.Members = map[string]int64{"b": 1} },
		"partition": func() { o.Held = map[int]string{1: "a"} },
		"adrift":    func() { o.Adrift = map[int]string{1: "x"} },
	} {
		o = ledger{Members: maps.Clone(l.Members), Held: maps.Clone(l.Held)}
		if change(); l.sameShape(&o) {
			t.Errorf("a changed %s does not count", name)
		}
	}
}

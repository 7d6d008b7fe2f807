package kafkabroker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"lexigram.dev/events/broker"
)

// keyless gives messages that stand for themselves.
func keyless(n int) []broker.Message {
	all := messages(n)
	for i := range all {
		all[i].Key = ""
	}
	return all
}

func TestTheOffsetNeverGoesPastAMessageThatIsNotHandled(t *testing.T) {
	_, o := fake(t)
	o.Partitions = 1
	b := open(t, o)
	must(t, b.Declare(t.Context(), group("t")))
	if errs := b.Publish(t.Context(), keyless(6)); errs != nil {
		t.Fatal(errs)
	}
	first := join(t, b, group("t"), 10)
	held := receive(t, first, 6)
	must(t, first.Ack(t.Context(), slices.Concat(held[:1], held[2:5]))) // all but 1 and 5
	backlog, err := b.Backlog(t.Context(), group("t"))
	if err != nil || backlog.Messages != 5 {
		t.Errorf("backlog %d (%v), want the 5 from the one on that is not handled", backlog.Messages, err)
	}
	must(t, first.Close())
	second := join(t, b, group("t"), 10)
	held = receive(t, second, 5)
	if got := bodies(held); got != "1 2 3 4 5" {
		t.Errorf("got %s, want all from the one on that was not handled", got)
	}
	must(t, second.Ack(t.Context(), held[1:]))
	must(t, second.Ack(t.Context(), held[:1]))
	if backlog, err = b.Backlog(t.Context(), group("t")); err != nil || backlog.Messages != 0 {
		t.Errorf("backlog %d (%v), want none", backlog.Messages, err)
	}
	if err := second.Ack(t.Context(), held[:1]); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("acknowledged twice: got %v, want ErrInvalid", err)
	}
}

func TestAPartitionWhereOneMessageIsStuckIsReadOnlySoFar(t *testing.T) {
	_, o := fake(t)
	o.Partitions = 1
	b := open(t, o)
	must(t, b.Declare(t.Context(), group("t")))
	all := keyless(3000)
	if errs := b.Publish(t.Context(), all); errs != nil {
		t.Fatal(errs)
	}
	s := join(t, b, group("t"), 100)
	stuck := receive(t, s, 1)
	read := 1
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		some, err := s.Receive(ctx, 99)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		must(t, err)
		read += len(some)
		must(t, s.Ack(t.Context(), some))
	}
	if read < s.farAhead() || read > s.farAhead()+200 {
		t.Errorf("%d messages were read past the one that is stuck, want about %d", read, s.farAhead())
	}
	must(t, s.Ack(t.Context(), stuck))
	for read < len(all) {
		some := receive(t, s, 1)
		read += len(some)
		must(t, s.Ack(t.Context(), some))
	}
}

func TestAPartitionMovesWhenWhatWasBegunIsFinished(t *testing.T) {
	_, o := fake(t)
	o.Partitions = 2
	b := open(t, o)
	must(t, b.Declare(t.Context(), group("t")))
	first := join(t, b, group("t"), 100)
	if errs := b.Publish(t.Context(), keyless(20)); errs != nil {
		t.Fatal(errs)
	}
	held := receive(t, first, 20)
	var begun []broker.Received // the first two of each partition
	count := map[int]int{}
	for _, r := range held {
		p := int(r.Token.(*entry).partition.partition)
		if count[p]++; count[p] <= 2 {
			if !r.Owned(r.Token) {
				t.Fatal("a message is not owned although nothing has happened")
			}
			begun = append(begun, r)
		}
	}
	second := join(t, b, group("t"), 100)
	// The partition that moves: what was not begun there is dropped when somebody asks.
	var moving *partition
	for moving == nil {
		first.mu.Lock()
		for _, p := range first.partitions {
			if p.leaving {
				moving = p
			}
		}
		if moving == nil {
			first.wait(t.Context())
		}
		first.mu.Unlock()
	}
	for _, r := range held {
		p := r.Token.(*entry).partition
		if want := p != moving || slices.ContainsFunc(begun, func(b broker.Received) bool { return b.Token == r.Token }); r.Owned(r.Token) != want {
			t.Errorf("message %s, of a partition that moves: %v: owned is %v, want %v", r.Message.ID, p == moving, !want, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got, err := second.Receive(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second member got %d messages (%v) while the first was at work", len(got), err)
	}
	must(t, first.Ack(t.Context(), begun))
	again := receive(t, second, 8)
	for _, r := range again {
		if slices.ContainsFunc(begun, func(b broker.Received) bool { return b.Message.ID == r.Message.ID }) {
			t.Errorf("message %s, which was handled, came again", r.Message.ID)
		}
	}
}

func TestAMessageThatIsNotAnsweredInTimeIsLostWithItsPartition(t *testing.T) {
	_, o := fake(t)
	o.Partitions, o.RevokeWait = 1, 300*time.Millisecond
	b := open(t, o)
	must(t, b.Declare(t.Context(), group("t")))
	first := join(t, b, group("t"), 10)
	if errs := b.Publish(t.Context(), messages(2)); errs != nil {
		t.Fatal(errs)
	}
	held := receive(t, first, 2)
	if !held[0].Owned(held[0].Token) {
		t.Error("not owned although nothing has happened")
	}
	first.lost(t.Context(), nil, map[string][]int32{"t": {0}}) // as the client tells when the group has given it up
	if held[0].Owned(held[0].Token) || held[1].Owned(held[1].Token) {
		t.Error("still owned although the partition is lost")
	}
	if err := first.Ack(t.Context(), held[:1]); err != nil {
		t.Errorf("an answer that comes too late: %v, want nothing", err)
	}
	must(t, first.Close())
	if got := bodies(receive(t, join(t, b, group("t"), 10), 2)); got != "0 1" {
		t.Errorf("got %s", got)
	}
}

func TestAStreamThatGaveMessagesBackTakesNoMore(t *testing.T) {
	_, o := fake(t)
	b := open(t, o)
	s := join(t, b, group("t"), 10)
	if errs := b.Publish(t.Context(), messages(4)); errs != nil {
		t.Fatal(errs)
	}
	held := receive(t, s, 2)
	if err := s.Release(t.Context(), held[1:], time.Second); !errors.Is(err, broker.ErrUnsupported) {
		t.Errorf("give back for later: %v, want ErrUnsupported", err)
	}
	must(t, s.Release(t.Context(), held[1:], 0))
	if _, err := s.Receive(t.Context(), 1); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable: open another", err)
	}
	if !held[0].Owned(held[0].Token) || held[1].Owned(held[1].Token) {
		t.Error("it must own what it holds, and not what it gave back")
	}
	must(t, s.Ack(t.Context(), held[:1]))
	must(t, s.Close())
	if got := bodies(receive(t, join(t, b, group("t"), 10), 3)); got != "1 2 3" {
		t.Errorf("got %s", got)
	}
}

func TestAnswersAreCommittedAlsoWhileTheGroupIsBalanced(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.NotCoordinator} {
		t.Run(code.Message, func(t *testing.T) {
			c, o := fake(t)
			b := open(t, o)
			s := join(t, b, group("t"), 10)
			if errs := b.Publish(t.Context(), messages(3)); errs != nil {
				t.Fatal(errs)
			}
			held := receive(t, s, 3)
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: code, Count: 2})
			must(t, s.Ack(t.Context(), held))
			if fault.Hits() != 2 {
				t.Errorf("the fault happened %d times", fault.Hits())
			}
			if backlog, err := b.Backlog(t.Context(), group("t")); err != nil || backlog.Messages != 0 {
				t.Errorf("backlog %d (%v)", backlog.Messages, err)
			}
		})
	}
}

func TestAnAnswerThatIsRefusedIsAnError(t *testing.T) {
	c, o := fake(t)
	b := open(t, o)
	s := join(t, b, group("t"), 10)
	if errs := b.Publish(t.Context(), messages(1)); errs != nil {
		t.Fatal(errs)
	}
	held := receive(t, s, 1)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed})
	if err := s.Ack(t.Context(), held); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
}

func TestStaticMembersComeBackWithoutABalance(t *testing.T) {
	_, o := fake(t)
	o.InstanceID = "i"
	b := open(t, o)
	s := join(t, b, group("t"), 10)
	other := join(t, b, broker.Group{Name: "g", Topics: []string{"t"}}, 10)
	if s.instance != "i" || other.instance != "i-2" {
		t.Errorf("the members are called %q and %q", s.instance, other.instance)
	}
	must(t, other.Close())
	must(t, s.Close())
	if again := join(t, b, group("t"), 10); again.instance != "i" {
		t.Errorf("the member that came back is called %q", again.instance)
	}
}

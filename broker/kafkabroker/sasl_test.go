package kafkabroker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/testserver"
)

// secured gives the options for a user of the real broker who may do anything with topics and groups that begin with the
// prefix, and nothing else.
func secured(t *testing.T, mechanism string) (o Options, prefix string) {
	t.Helper()
	o = server(t)
	addr := testserver.URL(t, "TEST_KAFKA_SASL_ADDR")
	superuser := open(t, o)
	user := fmt.Sprintf("user%08x", rand.Uint32())
	prefix = user + "-"
	o.Brokers, o.SASL, o.User, o.Password = []string{addr}, mechanism, user, "right-secret"
	if mechanism == saslPlain {
		o.User, o.Password = "plain", "plain-secret" // the broker's configuration knows this one
	} else {
		kind := map[string]kadm.ScramMechanism{scramSHA256: kadm.ScramSha256, scramSHA512: kadm.ScramSha512}[mechanism]
		made, err := superuser.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kind, Iterations: 4096, Password: o.Password}})
		must(t, errors.Join(err, made.Error()))
		t.Cleanup(func() {
			_, _ = superuser.admin.AlterUserSCRAMs(context.Background(), []kadm.DeleteSCRAM{{User: user, Mechanism: kind}}, nil)
		})
	}
	acls := kadm.NewACLs().ResourcePatternType(kadm.ACLPatternPrefixed).Topics(prefix).Groups(prefix).Operations(kmsg.ACLOperationAll).Allow("User:" + o.User).AllowHosts()
	results, err := superuser.admin.CreateACLs(t.Context(), acls)
	must(t, err)
	for _, r := range results {
		must(t, r.Err)
	}
	t.Cleanup(func() {
		acls := kadm.NewACLs().ResourcePatternType(kadm.ACLPatternPrefixed).Topics(prefix).Groups(prefix).Operations(kmsg.ACLOperationAll).Allow("User:" + o.User).AllowHosts()
		_, _ = superuser.admin.DeleteACLs(context.Background(), acls)
	})
	return o, prefix
}

func TestUsersAreRefusedWhatTheyMayNot(t *testing.T) {
	for _, mechanism := range []string{saslPlain, scramSHA256, scramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			o, prefix := secured(t, mechanism)
			b := open(t, o)
			handles := []*Backend{b}
			sweep(t, server(t), &handles)
			mine := broker.Group{Name: prefix + "g", Topics: []string{prefix + "t"}}
			s := join(t, b, mine, 10)
			m := message(1)
			m.Topic = mine.Topics[0]
			if errs := b.Publish(t.Context(), []broker.Message{m}); errs != nil {
				t.Fatal(errs)
			}
			must(t, s.Ack(t.Context(), receive(t, s, 1)))
			description, err := b.Describe(t.Context())
			if err != nil || strings.Contains(fmt.Sprint(description), "secret") || !strings.Contains(description.Durability, "may not ask") {
				t.Errorf("got %+v (%v)", description, err)
			}

			m.Topic = "somebody-elses"
			if errs := b.Publish(t.Context(), []broker.Message{m}); errs == nil || !errors.Is(errs[0], broker.ErrRefused) {
				t.Errorf("publish to another's topic: %v, want ErrRefused", errs)
			}
			theirs := mine
			theirs.Name = "somebody-elses"
			if err := b.Declare(t.Context(), theirs); !errors.Is(err, broker.ErrRefused) {
				t.Errorf("declare another's group: %v, want ErrRefused", err)
			}

			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			o.Password = "wrong-secret"
			if _, err := Open(ctx, o); !errors.Is(err, broker.ErrRefused) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the wrong password: %v, want ErrRefused", err)
			}
			o.User, o.Password, o.SASL = "", "", ""
			ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := Open(ctx, o); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "SASL") {
				t.Errorf("without a password: %v, want ErrUnavailable that guesses at SASL", err)
			}
		})
	}
}

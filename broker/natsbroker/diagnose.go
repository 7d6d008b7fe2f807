package natsbroker

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/checkup"
)

// Diagnose implements broker.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	var (
		info            *jetstream.StreamInfo
		asked, answered time.Time
	)
	err := b.call(ctx, "STREAM.INFO", func(ctx context.Context) error {
		asked = time.Now()
		s, err := b.js.Stream(ctx, b.options.Stream)
		if err == nil {
			answered, info = time.Now(), s.CachedInfo()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	findings := []checkup.Finding{
		checkup.Good("version", "nats-server %s", b.conn.ConnectedServerVersion()),
		durable(info.Config, b.options.SyncAlways),
	}
	if !info.TimeStamp.IsZero() { // servers before 2.10 do not tell
		findings = append(findings, checkup.Clock(info.TimeStamp, asked, answered))
	}
	return append(findings, room(info), replicas(info)), nil
}

func durable(c jetstream.StreamConfig, syncAlways bool) checkup.Finding {
	f := checkup.Good("durability", "%s", durability(c, syncAlways))
	faults := faults(c, syncAlways)
	switch {
	case len(faults) == 0:
	case c.Storage == jetstream.MemoryStorage && c.Replicas < 2, strings.Contains(f.Found, "discards old"):
		f.Level, f.Cure = checkup.Fail, "make the stream anew with file storage and discard policy new; see docs/brokers.md"
	default:
		f.Level, f.Cure = checkup.Warn, "use 3 replicas; or, with one server, set jetstream { sync_interval: always } and say so with sync_always=true in the URL"
	}
	return f
}

// room tells how full the stream is.
func room(info *jetstream.StreamInfo) checkup.Finding {
	f := checkup.Good("room", "%d messages, %d MiB, without a limit", info.State.Msgs, info.State.Bytes>>20)
	if limit := info.Config.MaxBytes; limit > 0 {
		f = checkup.Good("room", "%d messages, %d of %d MiB", info.State.Msgs, info.State.Bytes>>20, limit>>20)
		if float64(info.State.Bytes) > 0.9*float64(limit) {
			f.Level, f.Cure = checkup.Warn, "consume faster, delete groups that nobody reads for, or raise MaxBytes: at the limit messages are refused"
		}
	}
	return f
}

// replicas tells whether the stream's servers are all there.
func replicas(info *jetstream.StreamInfo) checkup.Finding {
	if info.Cluster == nil || len(info.Cluster.Replicas) == 0 {
		return checkup.Good("replicas", "one server")
	}
	var away []string
	for _, peer := range info.Cluster.Replicas {
		if peer.Offline || !peer.Current {
			away = append(away, peer.Name)
		}
	}
	f := checkup.Good("replicas", "leader %s and %d more, all current", info.Cluster.Leader, len(info.Cluster.Replicas))
	if len(away) > 0 {
		f.Level, f.Found, f.Cure = checkup.Warn, "not current: "+strings.Join(away, ", "), "start those servers, or give them time to catch up; `nats stream info` tells more"
	}
	return f
}

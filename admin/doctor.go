package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/checkup"
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// The parts that findings are about.
const (
	partStore  = "store"
	partBroker = "broker"
	partLog    = "work" // what follows the log
)

// DoctorOptions are the settings of an examination.
type DoctorOptions struct {
	// MaxLag is how old the oldest event may be that a subscription, projection or relay has not handled. Defaults to
	// 5 minutes.
	MaxLag time.Duration
}

// Diagnose examines the store, its server and all that lives on it. It changes nothing. What cannot be found out is itself
// a finding. A store whose tables are missing or old may be opened with store.OpenOptions.Pending.
func (a *Admin) Diagnose(ctx context.Context, o DoctorOptions) []checkup.Finding {
	begun := time.Now()
	d, err := a.store.Describe(ctx)
	took := time.Since(begun)
	var findings []checkup.Finding
	if err == nil {
		findings = append(findings, checkup.Good("reachable", "%s at %s answers within %v", d.Backend, d.Location, took.Round(100*time.Microsecond)))
	} else if !errors.Is(err, store.ErrIncompatible) {
		return []checkup.Finding{Unopened(partStore, err)}
	}
	if diagnoser, ok := a.store.Backend().(store.Diagnoser); ok {
		found, err := diagnoser.Diagnose(ctx)
		findings = append(findings, found...)
		if err != nil {
			findings = append(findings, unknown("server", err))
		}
	}
	migrations, current := a.migrationState(ctx)
	findings = named(partStore, append(findings, migrations))
	if !current {
		return findings
	}
	return append(findings, named(partLog, a.work(ctx, cmp.Or(o.MaxLag, 5*time.Minute)))...)
}

// DiagnoseBroker examines a broker and its server. It changes nothing.
func DiagnoseBroker(ctx context.Context, b *broker.Broker) []checkup.Finding {
	begun := time.Now()
	d, err := b.Describe(ctx)
	if err != nil {
		return []checkup.Finding{Unopened(partBroker, err)}
	}
	findings := []checkup.Finding{checkup.Good("reachable", "%s at %s answers within %v", d.Broker, d.Location, time.Since(begun).Round(100*time.Microsecond))}
	diagnoser, ok := b.Backend().(broker.Diagnoser)
	if !ok {
		return named(partBroker, append(findings, checkup.Good("durability", "%s", d.Durability)))
	}
	found, err := diagnoser.Diagnose(ctx)
	findings = append(findings, found...)
	if err != nil {
		findings = append(findings, unknown("server", err))
	}
	return named(partBroker, findings)
}

// Unopened is the finding that a part, "store" or "broker", cannot be used at all.
func Unopened(part string, err error) checkup.Finding {
	f := checkup.Finding{Part: part, Check: "reachable", Level: checkup.Fail, Found: err.Error()}
	code, _ := errcode.Of(err)
	switch code {
	case errcode.StoreUnavailable, errcode.BrokerUnavailable:
		f.Cure = "start the server; check host, port, firewall and TLS settings of the URL"
	case errcode.BrokerRefused:
		f.Cure = "check user, password and the user's rights"
	case errcode.StoreIncompatible:
		f.Cure = "if there should be a store: lexevents migrate up; else name another place"
	case errcode.NotFound:
		f.Cure = "check the path; to make a store there: lexevents migrate up"
	case errcode.Corrupt:
		f.Cure = "keep a copy of the files, then restore the last backup"
	case "":
		f.Cure = "check the URL"
	default:
		f.Cure = "lexevents explain " + code.Number()
	}
	return f
}

// migrationState tells whether the tables are of the version that this program needs.
func (a *Admin) migrationState(ctx context.Context) (f checkup.Finding, current bool) {
	migrations, err := a.Migrations(ctx)
	switch {
	case errors.Is(err, store.ErrUnsupported):
		return checkup.Good("migrations", "it has no tables"), true
	case err != nil:
		return unknown("migrations", err), false
	}
	missing := 0
	for _, m := range migrations {
		if !m.Applied {
			missing++
		}
	}
	if missing == 0 {
		return checkup.Good("migrations", "all %d applied", len(migrations)), true
	}
	f = checkup.Finding{Check: "migrations", Level: checkup.Fail, Found: fmt.Sprintf("%d of %d are missing", missing, len(migrations)), Cure: "lexevents migrate up"}
	if missing == len(migrations) {
		f.Found = "there is no store yet"
	}
	return f, false
}

// work judges what follows the log.
func (a *Admin) work(ctx context.Context, maxLag time.Duration) []checkup.Finding {
	v, err := a.Vitals(ctx)
	var findings []checkup.Finding
	if err != nil {
		findings = append(findings, unknown("work", err))
	}
	for _, kind := range []string{"subscription", "projection", "outbox"} {
		findings = append(findings, judgeFeeds(kind, v.Feeds, maxLag)...)
	}
	return append(append(findings, judgeLetters(v.DeadLetters)), judgeSagas(v.Sagas)...)
}

// judgeFeeds gives a finding for each feed that something is wrong with, and one for the others together.
func judgeFeeds(kind string, feeds []Feed, maxLag time.Duration) []checkup.Finding {
	var (
		findings []checkup.Finding
		good     int
		command  = map[string]string{"subscription": "lexevents subscriptions resume ", "projection": "lexevents projections resume ", "outbox": "lexevents subscriptions resume outbox-"}[kind]
	)
	for _, f := range feeds {
		found := checkup.Finding{Check: kind + " " + f.Name, Level: checkup.Warn}
		switch behind := fmt.Sprintf("behind by %d events, for %v", f.Lag, f.LagTime.Round(time.Second)); {
		case f.Kind != kind:
			continue
		case f.stands():
			found.Level, found.Found, found.Cure = checkup.Fail, f.State+": "+f.Error, "mend the cause, then: "+command+f.Name
		case f.State == string(subscription.StatePaused):
			found.Found, found.Cure = "paused by an operator, "+behind, command+f.Name
		case f.LagTime <= maxLag:
			good++
			continue
		case f.State == string(subscription.StateStopped):
			found.Found, found.Cure = "nobody runs it, "+behind, "start the program that runs it, or delete it"
		default:
			found.Found, found.Cure = strings.TrimSuffix(f.State+", "+behind+": "+f.Error, ": "), "look at what its handler waits for; more partitions let it handle more at once"
		}
		findings = append(findings, found)
	}
	if len(findings) > 0 && good == 0 {
		return findings
	}
	many := map[string]string{"subscription": "subscriptions", "projection": "projections", "outbox": "outbox relays"}[kind]
	if good == 0 {
		return []checkup.Finding{checkup.Good(many, "none")}
	}
	return append([]checkup.Finding{checkup.Good(many, "%d, none more than %v behind", good, maxLag)}, findings...)
}

func judgeLetters(bySource map[string]int) checkup.Finding {
	if len(bySource) == 0 {
		return checkup.Good("dead letters", "none")
	}
	var (
		total int
		parts []string
	)
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		total += bySource[source]
		parts = append(parts, fmt.Sprintf("%d of %s", bySource[source], source))
	}
	return checkup.Finding{
		Check: "dead letters", Level: checkup.Warn, Found: fmt.Sprintf("%d wait: %s", total, strings.Join(parts, ", ")),
		Cure: "lexevents deadletters list; mend the cause; retry or discard them",
	}
}

func judgeSagas(counts []SagaCount) []checkup.Finding {
	var (
		findings []checkup.Finding
		atWork   int
	)
	for _, c := range counts {
		f := checkup.Finding{Check: "saga " + c.Saga, Level: checkup.Warn, Found: fmt.Sprintf("instances that are %s: %d", strings.ReplaceAll(string(c.Status), "_", " "), c.Count)}
		list := fmt.Sprintf("lexevents sagas list --saga %s --status %s", c.Saga, c.Status)
		switch c.Status {
		case saga.StatusParked:
			f.Cure = "start a program that has this definition; " + list
		case saga.StatusSuspended:
			f.Cure = "resume them when it is time; " + list
		case saga.StatusFailed:
			f.Cure = list + "; then retry, or compensate"
		case saga.StatusCompensationFailed:
			f.Level, f.Cure = checkup.Fail, "what was done could not be undone: "+list+"; mend the cause, then retry"
		default:
			atWork += c.Count
			continue
		}
		findings = append(findings, f)
	}
	return append([]checkup.Finding{checkup.Good("sagas", "instances at work: %d", atWork)}, findings...)
}

func unknown(check string, err error) checkup.Finding {
	f := Unopened("", err)
	f.Check, f.Found = check, "cannot be examined: "+f.Found
	return f
}

func named(part string, findings []checkup.Finding) []checkup.Finding {
	for i := range findings {
		findings[i].Part = part
	}
	return findings
}

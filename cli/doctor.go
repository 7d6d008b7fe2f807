package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/checkup"
	"lexigram.dev/events/config"
	"lexigram.dev/events/store"
)

// errUnwell is doctor's error where a check has failed.
type errUnwell struct{ failed, checks int }

// Error implements error.
func (e errUnwell) Error() string {
	return fmt.Sprintf("doctor: %d of %s failed", e.failed, plural(e.checks, "check"))
}

func (a *app) doctor() *cobra.Command {
	var (
		o       admin.DoctorOptions
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use: "doctor", Short: "Examine the store and the broker, and say what to mend", Args: cobra.NoArgs,
		Long: "doctor connects to the store and the broker that are named and checks what an operator would: whether they answer, their\n" +
			"versions, the user's rights, the clocks, the settings on which durability hangs, free space, missing migrations; and\n" +
			"what works on the store: how far behind subscriptions, projections and relays are, dead letters, sagas that stand.\n" +
			"With --config, or where application.yaml is here and neither is named, it examines the configuration too.\n" +
			"It changes nothing. Each finding is ok, warn or fail, with a cure. It exits with 1 where one is fail.",
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if o.MaxLag <= 0 || timeout <= 0 {
				return usagef("doctor: --max-lag and --timeout must be positive")
			}
			findings, err := a.examineNamed()
			if err != nil {
				return err
			}
			if a.storeURL != "" {
				found, err := a.examineStore(ctx, o, timeout)
				if err != nil {
					return err
				}
				findings = append(findings, found...)
			}
			if a.brokerURL != "" {
				found, err := a.examineBroker(ctx, timeout)
				if err != nil {
					return err
				}
				findings = append(findings, found...)
			}
			return a.showFindings(findings)
		}),
	}
	a.brokerFlag(cmd)
	cmd.Flags().DurationVar(&o.MaxLag, "max-lag", 5*time.Minute, "how far behind a subscription, projection or relay may be")
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "how long the store, and the broker, may take for all answers")
	return cmd
}

// examineNamed asks the configuration, where there is one, what to examine. One that is not valid is a finding.
func (a *app) examineNamed() ([]checkup.Finding, error) {
	c, err := a.fromConfig()
	if err != nil && !errors.Is(err, config.ErrInvalid) {
		return nil, err
	}
	if err == nil && a.storeURL == "" && a.brokerURL == "" {
		return nil, a.nothingNamed("doctor: nothing to examine", c)
	}
	if c == nil && err == nil {
		return nil, nil
	}
	return a.examineConfig(c, err), nil
}

// examineStore opens the store for reading; where there is none of this version, it opens what is there.
func (a *app) examineStore(ctx context.Context, o admin.DoctorOptions, timeout time.Duration) ([]checkup.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := a.openURL(ctx, a.storeURL, toRead)
	if errors.Is(err, store.ErrIncompatible) {
		if s, err2 := a.openURL(ctx, a.storeURL, toMigrate); err2 == nil {
			defer func() { _ = s.Close() }() // nothing was written
			return admin.New(s).Diagnose(ctx, o), nil
		}
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return nil, err
	}
	if err != nil {
		return []checkup.Finding{admin.Unopened("store", err)}, nil
	}
	defer func() { _ = s.Close() }() // nothing was written
	return admin.New(s).Diagnose(ctx, o), nil
}

func (a *app) examineBroker(ctx context.Context, timeout time.Duration) (findings []checkup.Finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = a.withBroker(ctx, func(b *broker.Broker) error {
		findings = admin.DiagnoseBroker(ctx, b)
		return nil
	})
	var usage *usageError
	if errors.As(err, &usage) {
		return nil, err
	}
	if err != nil && findings == nil {
		findings = []checkup.Finding{admin.Unopened("broker", err)}
	}
	return findings, nil
}

func (a *app) showFindings(findings []checkup.Finding) error {
	counts := map[checkup.Level]int{}
	width := 0
	for _, f := range findings {
		counts[f.Level]++
		width = max(width, len(f.Check))
	}
	for _, f := range findings {
		if a.json {
			if err := a.printJSON(f); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%-4s  %-6s  %-*s  %s\n", f.Level, f.Part, width, printable(f.Check), printable(strings.Join(strings.Fields(f.Found), " ")))
		if f.Cure != "" {
			fmt.Fprintf(a.stdout, "%*s  → %s\n", 14+width, "", printable(f.Cure))
		}
	}
	if !a.json {
		fmt.Fprintf(a.stdout, "\n%s: %d ok, %d to look at, %d failed\n", plural(len(findings), "check"), counts[checkup.OK], counts[checkup.Warn], counts[checkup.Fail])
	}
	if failed := counts[checkup.Fail]; failed > 0 {
		return errUnwell{failed, len(findings)}
	}
	return nil
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// ledger is a file to which all consumers append a line for each event that they get. A line is one write, so lines
// stand in the order in which the events were handled, over all processes, and outlive kill -9.
type ledger struct{ file *os.File }

func openLedger(folder, name string) (*ledger, error) {
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &ledger{file: f}, nil
}

func (l *ledger) note(stream string, version event.Version) error {
	_, err := fmt.Fprintf(l.file, "%s %d\n", stream, version)
	return err
}

// readLedger gives the lines one by one.
func readLedger(folder, name string, line func(stream string, version event.Version) error) error {
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var (
			stream  string
			version event.Version
		)
		if _, err := fmt.Sscanf(lines.Text(), "%s %d", &stream, &version); err != nil {
			return fmt.Errorf("%s: line %q: %w", name, lines.Text(), err)
		}
		if err := line(stream, version); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return lines.Err()
}

// paper is a broker that confirms a message once it stands in a ledger.
type paper struct{ ledger *ledger }

// Publish implements broker.Backend.
func (p paper) Publish(_ context.Context, messages []broker.Message) []error {
	failed := false
	errs := make([]error, len(messages))
	for i, m := range messages {
		var version event.Version
		if _, err := fmt.Sscan(m.Headers["ce-streamversion"], &version); err != nil {
			errs[i] = fmt.Errorf("%w: %w", broker.ErrInvalid, err)
		} else {
			errs[i] = p.ledger.note(m.Key, version)
		}
		failed = failed || errs[i] != nil
	}
	if failed {
		return errs
	}
	return nil
}

// Declare implements broker.Backend.
func (paper) Declare(context.Context, broker.Group) error { return nil }

// Consume implements broker.Backend.
func (paper) Consume(context.Context, broker.Group, int) (broker.Stream, error) {
	return nil, errors.ErrUnsupported
}

// Describe implements broker.Backend.
func (paper) Describe(context.Context) (broker.Description, error) {
	return broker.Description{Broker: "paper"}, nil
}

// Features implements broker.Backend.
func (paper) Features() broker.Features { return broker.Features{Ordered: true, Durable: true} }

// Close implements broker.Backend.
func (p paper) Close() error { return p.ledger.file.Close() }

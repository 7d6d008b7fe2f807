package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"lexigram.dev/events/store"
)

// The constraints of our tables, and the errors that our functions raise.
const (
	constraintPosition      = "events_position"
	constraintStreamVersion = "events_stream_version"
	constraintID            = "events_id"

	codeUniqueViolation = "23505"
	codeAppendConflict  = "LX001"
)

// kindError is an error of a kind of the port, with the driver's own error under it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// translate gives an error of PostgreSQL or pgx as one of the port's. The end of ctx wins: whatever broke then, broke
// because of it.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if errors.Is(err, ctx.Err()) {
			return err
		}
		return &kindError{kind: ctx.Err(), err: err}
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		return &kindError{kind: kind, err: err}
	}
	return err
}

func kindOf(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return kindOfServerError(pgErr)
	}
	var netErr net.Error
	var connectErr *pgconn.ConnectError
	switch {
	case errors.Is(err, puddle.ErrClosedPool):
		return store.ErrClosed
	case errors.Is(err, pgx.ErrTxClosed), errors.Is(err, pgx.ErrTxCommitRollback):
		return store.ErrInvalid
	case errors.As(err, &connectErr), errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "conn closed"):
		return store.ErrUnavailable
	}
	return nil
}

// kindOfServerError classifies by constraint name, then by SQLSTATE, then by its class.
func kindOfServerError(err *pgconn.PgError) error {
	if err.Code == codeUniqueViolation {
		switch err.ConstraintName {
		case constraintID:
			return store.ErrIDReused
		case constraintStreamVersion:
			return store.ErrConflict
		case constraintPosition:
			return store.ErrCorrupt // somebody appends without the lock
		}
		return nil
	}
	switch err.Code {
	case "25006": // read_only_sql_transaction
		return store.ErrReadOnly
	case "53100": // disk_full
		return store.ErrFull
	case "42P01", "3F000", "42883", "42703": // undefined table, schema, function, column
		return store.ErrIncompatible
	case "57014", "40001", "40P01", "55P03", "53200", "25P03", "25P04": // canceled, serialization, deadlock, lock timeout, memory, idle and transaction timeouts
		return store.ErrUnavailable
	case "3D000": // no such database
		return store.ErrNotFound
	}
	switch err.Code[:min(2, len(err.Code))] {
	case "08", "28", "53", "57", "58": // connection, authorization, resources, operator intervention, system
		return store.ErrUnavailable
	case "XX":
		return store.ErrCorrupt
	case "54", "22":
		return store.ErrInvalid
	}
	return nil
}

// isIDTaken reports a violation of the uniqueness of event ids.
func isIDTaken(err *pgconn.PgError) bool {
	return err.Code == codeUniqueViolation && err.ConstraintName == constraintID
}

// blamesOne reports an error that the data of one request of a batch can have caused, so that its neighbours may be
// fine.
func blamesOne(err *pgconn.PgError) bool {
	switch err.Code[:min(2, len(err.Code))] {
	case "22", "23", "54":
		return true
	}
	return false
}

// isLoss reports an error after which the connection is gone, or about to go.
func isLoss(err *pgconn.PgError) bool {
	return err.Severity == "FATAL" || err.Severity == "PANIC" || strings.HasPrefix(err.Code, "08") || strings.HasPrefix(err.Code, "57P")
}

// isTransient reports whether it is worth trying to reach the server again.
func isTransient(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return isLoss(pgErr) && !strings.HasPrefix(pgErr.Code, "28") || pgErr.Code == "53300"
	}
	return errors.Is(kindOf(err), store.ErrUnavailable)
}

// errUnknown says that an append may or may not have been stored.
func errUnknown(cause error) error {
	return &kindError{kind: store.ErrUnavailable, err: fmt.Errorf("the connection was lost before the answer came: whether the append was stored is unknown, append again with the same ids to find out: %w", cause)}
}

func readOnly() error {
	return &kindError{kind: store.ErrReadOnly, err: errors.New("it was opened so")}
}

// explain is translate, with what to do about a schema that does not fit.
func (b *Backend) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *kindError
	if errors.As(err, &known) { // translated before
		return err
	}
	if pgErr := asServerError(err); pgErr != nil && errors.Is(kindOfServerError(pgErr), store.ErrIncompatible) {
		err = fmt.Errorf("schema %s does not hold the store that this program works with, run `lexevents migrate up --store …`: %w", b.options.Schema, err)
	}
	return translate(ctx, err)
}

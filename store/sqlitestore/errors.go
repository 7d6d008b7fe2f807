package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/store"
)

// errIDTaken says that an event's id is in the log already. It never leaves the package: what it means is found out by
// looking the ids up.
var errIDTaken = errors.New("event id is taken")

// errTransactionEnded answers a call whose context outlived its transaction.
var errTransactionEnded = fmt.Errorf("%w: the transaction of this context has ended", store.ErrInvalid)

// errEndedInside answers a Transact whose function ended the transaction by SQL of its own.
var errEndedInside = fmt.Errorf("%w: the function ended the transaction itself, by a commit or a rollback", store.ErrInvalid)

// busy reports whether another connection was in the way, so that trying again may help.
func busy(err error) bool { return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy }

// translate gives an error of SQLite as one of the port. ctx is the call's, which an interrupted statement answers to.
func translate(ctx context.Context, err error) error {
	if err == nil || !fromSQLite(err) {
		return err
	}
	code := sqlite.ErrCode(err)
	if code.ToPrimary() == sqlite.ResultInterrupt && ctx.Err() != nil {
		return ctx.Err()
	}
	if kind, text := kindOf(code); kind != nil {
		return fmt.Errorf("%w: %s: %w", kind, text, err)
	}
	return err
}

// fromSQLite reports whether the error carries a result code. ErrCode gives ResultError both for that code and for
// errors of other origin, so a plain ResultError counts only with SQLite's own text.
func fromSQLite(err error) bool {
	code := sqlite.ErrCode(err)
	return code != sqlite.ResultError && code != sqlite.ResultOK
}

func kindOf(code sqlite.ResultCode) (kind error, text string) {
	if code == sqlite.ResultReadOnlyDBMoved {
		return store.ErrUnavailable, "the file was moved or removed while it was open"
	}
	switch code.ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return store.ErrUnavailable, "the file is locked by another process"
	case sqlite.ResultFull:
		return store.ErrFull, "no space is left for the file"
	case sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultAuth:
		return store.ErrReadOnly, "the file cannot be written"
	case sqlite.ResultCorrupt:
		return store.ErrCorrupt, "the file is damaged"
	case sqlite.ResultNotADB:
		return store.ErrIncompatible, "the file is not a SQLite database"
	case sqlite.ResultTooBig:
		return store.ErrTooLarge, "a value exceeds what SQLite can hold"
	case sqlite.ResultCantOpen, sqlite.ResultIOErr, sqlite.ResultNoMem:
		return store.ErrUnavailable, "the file cannot be read or written"
	}
	return nil, ""
}

// violated gives the columns of the uniqueness constraint that an insert broke; "" for any other error.
func violated(err error) string {
	switch sqlite.ErrCode(err) {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey:
		text := err.Error() // ends in "UNIQUE constraint failed: events.stream, events.version"
		return text[strings.LastIndex(text, ": ")+2:]
	}
	return ""
}

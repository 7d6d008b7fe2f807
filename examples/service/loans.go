package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.uber.org/fx"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/command"
	"lexigram.dev/events/config"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/eventsfx"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
)

// The events.
type (
	// Lent says that a reader has a book.
	Lent struct {
		Reader string `json:"reader"`
	}
	// Returned says that nobody has it.
	Returned struct{}
)

// The commands and the query.
type (
	// Lend gives a book to a reader.
	Lend struct {
		Book   string `json:"book" validate:"required"`
		Reader string `json:"reader" validate:"required"`
	}
	// Return takes a book back.
	Return struct {
		Book string `json:"book" validate:"required"`
	}
	// BooksOf asks what a reader has.
	BooksOf struct {
		Reader string
	}
)

// errRefused marks what a rule forbids.
var errRefused = errors.New("refused")

// loan is the state of a book: who has it, "" for nobody.
type loan struct {
	Reader string `json:"reader"`
}

// Books decides about books.
type Books = aggregate.Decider[loan]

// Loans is the read model: a document for each book that is lent.
type Loans = projection.Documents[loan]

// loansFeature is all that this service does. A larger one is a list of such features.
func loansFeature() fx.Option {
	return fx.Module("loans",
		fx.Provide(newBooks),
		eventsfx.Projections(newLoans),
		eventsfx.Handlers(
			eventsfx.Type[Lent]("book.lent", schema.Options{}),
			eventsfx.Type[Returned]("book.returned", schema.Options{}),
			newLend, newReturn, newBooksOf, newNotice,
		),
	)
}

func newBooks(a *config.App) (*Books, error) {
	return aggregate.NewDecider(a.Store(), a.Schema(), "book", aggregate.Fold[loan]{
		Evolve: func(l loan, e any) (loan, error) {
			switch e := e.(type) {
			case Lent:
				l.Reader = e.Reader
			case Returned:
				l.Reader = ""
			}
			return l, nil
		},
	}, a.AggregateOptions())
}

func newLoans(a *config.App) (*projection.Projection, *Loans) {
	p := projection.New(a.Store(), a.Schema(), "loans", a.ProjectionOptions())
	loans := projection.NewDocuments(p, "loans", projection.DocumentOptions[loan]{
		Indexes: map[string]func(loan) []string{"reader": func(l loan) []string { return []string{l.Reader} }},
	})
	projection.PerEntity(loans, func(l *loan, e Lent, _ event.Recorded) error {
		l.Reader = e.Reader
		return nil
	})
	projection.On(p, func(ctx context.Context, _ Returned, e event.Recorded) error {
		return loans.Delete(ctx, e.Stream.Key())
	})
	return p, loans
}

func newLend(books *Books) eventsfx.Handler {
	return eventsfx.Command(func(ctx context.Context, c Lend) (command.None, error) {
		_, err := books.Decide(ctx, c.Book, func(l loan) ([]any, error) {
			if l.Reader != "" {
				return nil, fmt.Errorf("%w: %s has %q", errRefused, l.Reader, c.Book)
			}
			return []any{Lent{c.Reader}}, nil
		})
		return command.None{}, err
	})
}

func newReturn(books *Books) eventsfx.Handler {
	return eventsfx.Command(func(ctx context.Context, c Return) (command.None, error) {
		_, err := books.Decide(ctx, c.Book, func(l loan) ([]any, error) {
			if l.Reader == "" {
				return nil, fmt.Errorf("%w: nobody has %q", errRefused, c.Book)
			}
			return []any{Returned{}}, nil
		})
		return command.None{}, err
	})
}

func newBooksOf(loans *Loans) eventsfx.Handler {
	return eventsfx.Query(func(ctx context.Context, q BooksOf) ([]string, error) {
		books := []string{}
		for d, err := range loans.Query(ctx, "reader", projection.Equal(q.Reader), projection.Page{}) {
			if err != nil {
				return nil, err
			}
			books = append(books, d.Key)
		}
		return books, nil
	})
}

// newNotice stands for another service: the outbox has published the event, and the event bus brings it here.
func newNotice(a *config.App) eventsfx.Handler {
	return eventsfx.Event("notice", func(ctx context.Context, e Lent, m eventbus.Message) error {
		a.Logger().InfoContext(ctx, "a notice to the reader", slog.String("reader", e.Reader), slog.String("book", string(m.Event.Stream)))
		return nil
	}, eventbus.HandlerOptions{})
}

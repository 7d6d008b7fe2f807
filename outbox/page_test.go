package outbox_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/outbox"
)

// secondPage runs a function once, before the second page of waiting messages is read.
type secondPage struct{ run func() }

func (s secondPage) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(data.SQL, "select id, key, coalesce(next_at, 0)") && !strings.Contains(data.SQL, "id > 0 ") {
		s.run()
	}
	return ctx
}

func (secondPage) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A transaction that has written first commits while a relay is between two pages, and then another writes of the same
// key: the second page has the second message, the first page was read without the first.
func TestAMessageThatIsCommittedBetweenTwoPagesIsNotOvertaken(t *testing.T) {
	b := postgres(t)
	ctx := t.Context()

	slow, err := b.db.BeginTx(ctx, nil)
	must(t, err)
	must(t, b.table.Write(ctx, slow, message("first", "k")))
	b.write(t, message("later-1", "x"), message("later-2", "y")) // the first page: none of it is due
	_, err = b.db.ExecContext(ctx, fmt.Sprintf(`update %s."mail" set next_at = 1e17 where key in ('x', 'y')`, b.table.Schema))
	must(t, err)

	config, err := pgx.ParseConfig(os.Getenv(postgresURL))
	must(t, err)
	between := 0
	config.Tracer = secondPage{run: sync.OnceFunc(func() {
		between++
		if err := slow.Commit(); err != nil {
			t.Error(err)
		}
		b.write(t, message("second", "k"))
	})}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })

	w := newWire()
	r, err := outbox.NewTableRelay("main", db, b.table, broker.New(w, broker.Options{}), newLetters(), outbox.TableOptions{BatchSize: 2, PollInterval: 10 * time.Millisecond})
	must(t, err)
	start(t, r.Run)

	w.waitFor(t, 2)
	if got := w.ids(); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("sent %q, want them as they were written", got)
	}
	if between != 1 {
		t.Errorf("nothing came between the pages")
	}
}

package projection_test

import (
	"context"
	"errors"
	"testing"

	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store/pgstore"
)

// onPostgres runs a test on a store in PostgreSQL whose schema is where unqualified tables are made.
func onPostgres(t *testing.T, run func(t *testing.T, s *shop, execute executor)) {
	url, schema := everystore.Postgres(t)
	b, err := pgstore.Open(t.Context(), url, pgstore.Options{AutoMigrate: true, Schema: schema})
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	run(t, newShop(t, b), func(ctx context.Context, sql string, bind ...int64) (values []int64, err error) {
		tx, ok := pgstore.Tx(ctx)
		if !ok {
			return nil, errors.New("no transaction")
		}
		if _, err := tx.Exec(ctx, "set local search_path to "+schema); err != nil {
			return nil, err
		}
		args := make([]any, len(bind))
		for i, v := range bind {
			args[i] = v
		}
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var v int64
			if err := rows.Scan(&v); err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		return values, rows.Err()
	})
}

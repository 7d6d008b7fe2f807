package pgxoutbox_test

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/outbox/pgxoutbox"
)

func ExampleTx() {
	table := outbox.Table{Dialect: outbox.PostgreSQL, Schema: "shop"}
	register := func(ctx context.Context, pool *pgxpool.Pool, name string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "insert into shop.users (name) values ($1)", name); err != nil {
				return err
			}
			return table.Write(ctx, pgxoutbox.Tx(tx), broker.Message{Topic: "mail", Key: name, Body: []byte("welcome")})
		})
	}
	_ = register
}

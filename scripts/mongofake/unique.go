package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// unique makes unique indexes hold for the elements of arrays, as they do in MongoDB: after FerretDB has made such an
// index, it gives the table a trigger that refuses a row of which an array element is in another row's array.
// Only what mongostore needs: indexes over one field at the top level, and arrays of strings or binary values (which
// FerretDB keeps as JSON strings). Rows inserted together are looked at one after the other.
type unique struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// watch looks at a command that was carried out.
func (u *unique) watch(ctx context.Context, body bson.Raw) error {
	if err := body.Validate(); err != nil {
		return nil //nolint:nilerr // FerretDB has answered it already
	}
	var command struct {
		Collection string `bson:"createIndexes"`
		Database   string `bson:"$db"`
		Indexes    []struct {
			Key    bson.D `bson:"key"`
			Unique bool   `bson:"unique"`
		} `bson:"indexes"`
	}
	if err := bson.Unmarshal(body, &command); err != nil {
		return fmt.Errorf("read createIndexes: %w", err)
	}
	if err := u.dropIndexes(ctx, command.Database, command.Collection); err != nil {
		return err
	}
	fields := []string{"_id"}
	for _, index := range command.Indexes {
		if first := index.Key[0].Key; !strings.Contains(first, ".") && !slices.Contains(fields, first) {
			fields = append(fields, first)
		}
	}
	if err := u.serveEquality(ctx, command.Database, command.Collection, fields); err != nil {
		return err
	}
	for _, index := range command.Indexes {
		if !index.Unique || len(index.Key) != 1 || strings.Contains(index.Key[0].Key, ".") {
			continue
		}
		if err := u.enforce(ctx, command.Database, command.Collection, index.Key[0].Key); err != nil {
			u.log.Error("unique index over arrays", "collection", command.Collection, "error", err)
			return err
		}
	}
	return nil
}

const (
	sqlTable   = `select _jsonb->>'table' from %s where _jsonb->>'_id' = $1`
	sqlIndexes = `select i->>'pgindex' from %s, jsonb_array_elements(_jsonb->'indexes') i where _jsonb->>'_id' = $1 and i->>'name' <> '_id_'`
)

const sqlEnforce = `
create or replace function %[3]s() returns trigger language plpgsql set enable_seqscan = off as $f$
declare
  wanted text[];
begin
  if jsonb_typeof(new._jsonb->%[2]s) is distinct from 'array' then
    return new;
  end if;
  wanted := array(select jsonb_array_elements_text(new._jsonb->%[2]s));
  if exists (select from %[1]s where _jsonb->%[2]s ?| wanted and _jsonb->'_id' <> new._jsonb->'_id') then
    raise unique_violation using message = 'an element of the array is in another document';
  end if;
  return new;
end $f$;
create or replace trigger %[4]s before insert or update on %[1]s for each row execute function %[3]s();`

// serveEquality makes the indexes that the questions which FerretDB sends to PostgreSQL can use.
func (u *unique) serveEquality(ctx context.Context, database, collection string, fields []string) error {
	table, err := u.table(ctx, database, collection)
	if err != nil || table == "" {
		return err
	}
	for _, field := range fields {
		_, err := u.pool.Exec(ctx, fmt.Sprintf(`create index if not exists %s on %s using gin ((_jsonb->%s)) with (fastupdate = off)`,
			pgx.Identifier{"mongofake_" + table + "_" + field}.Sanitize(), pgx.Identifier{database, table}.Sanitize(), quote(field)))
		if err != nil {
			return err
		}
	}
	return nil
}

// table gives the name of a collection's table; "" where FerretDB has refused to make it. FerretDB keeps each database
// in a schema of its name.
func (u *unique) table(ctx context.Context, database, collection string) (table string, err error) {
	catalog := pgx.Identifier{database, "_ferretdb_database_metadata"}.Sanitize()
	err = u.pool.QueryRow(ctx, fmt.Sprintf(sqlTable, catalog), collection).Scan(&table)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return table, err
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// enforce gives the collection's table its trigger.
func (u *unique) enforce(ctx context.Context, database, collection, field string) error {
	table, err := u.table(ctx, database, collection)
	if err != nil || table == "" {
		return err
	}
	name := "mongofake_" + table + "_" + field
	_, err = u.pool.Exec(ctx, fmt.Sprintf(sqlEnforce,
		pgx.Identifier{database, table}.Sanitize(), quote(field), pgx.Identifier{database, name}.Sanitize(), pgx.Identifier{name}.Sanitize()))
	return err
}

// dropIndexes takes away the indexes that FerretDB has made for the collection, but for that of _id: FerretDB does not
// use them for what it reads, and PostgreSQL refuses a row in which an indexed array is longer than 2,704 bytes.
func (u *unique) dropIndexes(ctx context.Context, database, collection string) error {
	catalog := pgx.Identifier{database, "_ferretdb_database_metadata"}.Sanitize()
	rows, err := u.pool.Query(ctx, fmt.Sprintf(sqlIndexes, catalog), collection)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := u.pool.Exec(ctx, `drop index if exists `+pgx.Identifier{database, name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

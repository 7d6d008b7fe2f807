package pgstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/store"
)

// Driver offers the backend by URLs such as postgres://user:password@host:5432/database?schema=lexigram. All settings
// of pgxpool work as query parameters (sslmode, pool_max_conns and so on).
func Driver() store.Driver {
	return store.Driver{
		Name:    "postgres",
		Schemes: []string{"postgres", "postgresql"},
		Example: "postgres://user:password@host:5432/database?schema=lexigram",
		Open: func(ctx context.Context, storeURL string, o store.OpenOptions) (store.Backend, error) {
			b, err := Open(ctx, storeURL, Options{AutoMigrate: o.AutoMigrate, ReadOnly: o.ReadOnly, Pending: o.Pending})
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// badDSN is an error that shows nothing of the DSN: a parser's own message may quote a piece of the password.
func badDSN(why string) error {
	return fmt.Errorf("open a postgres store: %w", &kindError{kind: store.ErrInvalid, err: errors.New("the DSN " + why)})
}

// takeSchema moves the parameter schema of a URL, which is ours, into the options.
func takeSchema(dsn string, o *Options) (string, error) {
	if !isURL(dsn) {
		return dsn, nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", badDSN("is not a valid URL; are the special characters of the password percent-encoded?")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", badDSN("has a malformed query")
	}
	if !query.Has("schema") {
		return dsn, nil
	}
	schema := query.Get("schema")
	if o.Schema != "" && o.Schema != schema {
		return "", badDSN(fmt.Sprintf("names schema %q, the options name %q", schema, o.Schema))
	}
	o.Schema = schema
	query.Del("schema")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// readBuffer is how much is read from a connection at once; a page of events is larger than pgx's own 8 KiB.
const readBuffer = 64 << 10

// parseDSN reads the settings. Of pgx's error only the part behind the DSN is shown, and that without the password.
func parseDSN(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err == nil {
		config.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			return pgproto3.NewFrontend(bufio.NewReaderSize(r, readBuffer), w)
		}
		return config, nil
	}
	u, urlErr := url.Parse(dsn)
	if !isURL(dsn) || urlErr != nil {
		return nil, badDSN("cannot be parsed: use a URL, postgres://user:password@host:5432/database, or key=value pairs")
	}
	_, why, _ := strings.Cut(err.Error(), "`: ")
	if why == "" {
		why = err.Error()
	}
	if password, set := u.User.Password(); set && password != "" {
		_, raw, _ := strings.Cut(u.User.String(), ":")
		if strings.Contains(why, password) || strings.Contains(why, raw) {
			why = "a setting is not valid"
		}
	}
	if strings.Contains(why, "://") || u.Query().Has("password") {
		why = "a setting is not valid"
	}
	return nil, badDSN("cannot be used: " + why)
}

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func TestPasswordsNeverShow(t *testing.T) {
	const secret = "s3cr3t-pa55"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, dsn := range []string{
		"postgres://u:" + secret + "@127.0.0.1:1/db?sslmode=nonsense",
		"postgres://u:" + secret + "@127.0.0.1:port/db",
		"postgres://u:" + secret + "@127.0.0.1:1/db?pool_max_conns=" + secret,
		"postgres://u:p@" + secret + ":x/y@127.0.0.1:1/db",
		"postgres://u:%zz" + secret + "@127.0.0.1:1/db",
		"postgres://u:" + secret + "@127.0.0.1:1/db",
		"postgres://127.0.0.1:1/db?user=u&password=" + secret + "&sslmode=nonsense",
		"host=127.0.0.1 port=x password=" + secret,
		"host=127.0.0.1 port=1 user=u password='" + secret,
		"postgres://u:" + secret + "@127.0.0.1:1/db?schema=Not-A-Schema",
	} {
		_, err := pgstore.Driver().Open(ctx, dsn, store.OpenOptions{})
		if err == nil {
			t.Errorf("%s was opened", dsn)
			continue
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v", e, e); strings.Contains(text, secret) {
				t.Errorf("%s: the error shows the password: %s", dsn, text)
			}
		}
	}
}

func TestUnreachableServers(t *testing.T) {
	_, err := pgstore.Open(t.Context(), "postgres://u:p@127.0.0.1:1/db?sslmode=disable&connect_timeout=5", pgstore.Options{})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	dsn := testserver.URL(t, debianServer)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/no_such_database"
	if _, err = pgstore.Open(t.Context(), u.String(), pgstore.Options{}); err == nil || !strings.Contains(err.Error(), "no_such_database") {
		t.Errorf("a missing database: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = pgstore.Open(ctx, dsn, pgstore.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	mustAppend(t, store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{}), "a-1", 1)
	for what, how := range map[string]struct {
		suffix string
		o      store.OpenOptions
	}{
		"by option": {"", store.OpenOptions{ReadOnly: true}}, "by the server": {"&default_transaction_read_only=on", store.OpenOptions{}},
	} {
		b, err := pgstore.Driver().Open(t.Context(), dsn+"&schema="+schema+how.suffix, how.o)
		if err != nil {
			t.Fatal(err)
		}
		s := store.New(b, store.Options{})
		if n := checkGapless(t, s); n != 1 {
			t.Errorf("%s: read %d events", what, n)
		}
		if _, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: append gave %v", what, err)
		}
		if _, err := s.Apply(t.Context(), store.Put("b", "k", nil)); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: apply gave %v", what, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTLSAndPoolSettingsComeFromTheDSN(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("sslmode", "require") // the test server has no TLS, so the setting must make opening fail
	u.RawQuery = query.Encode()
	if _, err := pgstore.Open(t.Context(), u.String(), pgstore.Options{}); err == nil || !strings.Contains(strings.ToLower(err.Error()), "tls") {
		t.Errorf("sslmode=require without TLS: got %v", err)
	}
}

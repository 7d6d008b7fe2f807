package drivers

import (
	"context"
	"strings"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/store/mongostore/mongobaseline"
	"lexigram.dev/events/store/pgstore/pgbaseline"
	"lexigram.dev/events/store/redisstore/redisbaseline"
	"lexigram.dev/events/store/sqlitestore/sqlitebaseline"
)

// OpenBaseline gives what the backend that the URL names is measured against: the bare driver with tables of its own.
// Backends without a server or a file have none, and get nil. The caller closes it.
func OpenBaseline(ctx context.Context, storeURL string) (admin.Baseline, error) {
	scheme, rest, _ := strings.Cut(storeURL, ":")
	switch scheme {
	case "sqlite":
		path, _, _ := strings.Cut(rest, "?")
		b, err := sqlitebaseline.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "postgres", "postgresql":
		b, err := pgbaseline.Open(ctx, storeURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "mongodb", "mongodb+srv":
		b, err := mongobaseline.Open(ctx, storeURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "redis", "rediss":
		b, err := redisbaseline.Open(ctx, storeURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	default:
		return nil, nil
	}
}

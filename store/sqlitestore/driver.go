package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/store"
)

// Driver offers the backend by URLs of the form "sqlite:path" or "sqlite:path?synchronous=normal&busy_timeout=5s". The path is
// taken as it is, up to the first question mark. Further parameters are readers and cache_size; they are those of Options.
func Driver() store.Driver {
	return store.Driver{
		Name:    "sqlite",
		Schemes: []string{"sqlite"},
		Example: "sqlite:path/to/events.db",
		Open: func(ctx context.Context, storeURL string, shared store.OpenOptions) (store.Backend, error) {
			path, o, err := parseURL(storeURL)
			if err != nil {
				return nil, fmt.Errorf("open store %q: %w", storeURL, err)
			}
			o.AutoMigrate, o.ReadOnly, o.Pending = shared.AutoMigrate, shared.ReadOnly, shared.Pending
			b, err := Open(ctx, path, o)
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

func parseURL(storeURL string) (path string, o Options, err error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(storeURL, "sqlite:"), "?")
	if strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") {
		return "", o, fmt.Errorf("%w: a path follows the colon at once: sqlite:relative/path or sqlite:/absolute/path", store.ErrInvalid)
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return "", o, fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	for name, values := range parameters {
		value := strings.Join(values, ",")
		var err error
		switch name {
		case "synchronous":
			switch value {
			case Full.String():
				o.Synchronous = Full
			case Normal.String():
				o.Synchronous = Normal
			default:
				err = errors.New("must be full or normal")
			}
		case "busy_timeout":
			o.BusyTimeout, err = time.ParseDuration(value)
		case "readers":
			o.Readers, err = strconv.Atoi(value)
		case "cache_size":
			o.CacheSize, err = strconv.Atoi(value)
		default:
			return "", o, fmt.Errorf("%w: unknown parameter %q; known are: synchronous, busy_timeout, readers, cache_size", store.ErrInvalid, name)
		}
		if err != nil {
			return "", o, fmt.Errorf("%w: %s=%s: %w", store.ErrInvalid, name, value, err)
		}
	}
	return path, o, nil
}

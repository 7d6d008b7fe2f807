package sqlitestore

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"lexigram.dev/events/store"
)

// Driver offers the backend by URLs of the form "sqlite:path" or "sqlite:path?synchronous=normal". The path is taken as
// it is, up to the first question mark.
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
		switch {
		case name != "synchronous":
			return "", o, fmt.Errorf("%w: unknown parameter %q; known is: synchronous", store.ErrInvalid, name)
		case len(values) == 1 && values[0] == Full.String():
			o.Synchronous = Full
		case len(values) == 1 && values[0] == Normal.String():
			o.Synchronous = Normal
		default:
			return "", o, fmt.Errorf("%w: synchronous=%s: must be full or normal", store.ErrInvalid, strings.Join(values, ","))
		}
	}
	return path, o, nil
}

package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Driver is what a driver package offers to programs that choose a backend by URL.
type Driver struct {
	Name    string   // "postgres"
	Schemes []string // of URLs: "postgres", "postgresql"
	Example string   // a URL that shows the form

	// Open opens the backend that the URL names.
	Open func(ctx context.Context, url string, o OpenOptions) (Backend, error)
}

// OpenOptions are the settings that all drivers share.
type OpenOptions struct {
	// AutoMigrate creates what is missing: the file, the schema, the tables, their newest version. Defaults to false:
	// a store that is missing or of an older version is an error that says what to run.
	AutoMigrate bool

	// ReadOnly opens for reading only, where the driver can. Writes give ErrReadOnly. Defaults to false.
	ReadOnly bool

	// Pending opens a store whose tables are missing or old without complaint, for Migrator alone. Defaults to false.
	Pending bool
}

// OpenURL opens the backend that the URL's scheme names among the linked drivers.
func OpenURL(ctx context.Context, url string, drivers []Driver, o OpenOptions) (Backend, error) {
	scheme, _, found := strings.Cut(url, ":")
	if !found || scheme == "" {
		return nil, invalid("store URL: must begin with a backend and a colon; %s", linked(drivers))
	}
	for _, d := range drivers {
		if slices.Contains(d.Schemes, scheme) {
			return d.Open(ctx, url, o)
		}
	}
	return nil, invalid("store URL: unknown backend %q; %s", scheme, linked(drivers))
}

func linked(drivers []Driver) string {
	if len(drivers) == 0 {
		return "no backend is linked into this program"
	}
	examples := make([]string, len(drivers))
	for i, d := range drivers {
		examples[i] = fmt.Sprintf("%s (%s)", d.Name, d.Example)
	}
	return "linked backends: " + strings.Join(examples, ", ")
}

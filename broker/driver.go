package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Driver is what a driver package offers to programs that choose a broker by URL.
type Driver struct {
	Name    string   // "kafka"
	Schemes []string // of URLs: "kafka", "kafkas"
	Example string   // a URL that shows the form

	// Open connects to the broker that the URL names, trying again until ctx ends where the server cannot be reached.
	Open func(ctx context.Context, url string) (Backend, error)
}

// OpenURL connects to the broker that the URL's scheme names among the linked drivers.
func OpenURL(ctx context.Context, url string, drivers []Driver) (Backend, error) {
	scheme, _, found := strings.Cut(url, ":")
	if !found || scheme == "" {
		return nil, invalid("broker URL: must begin with a broker and a colon; %s", linked(drivers))
	}
	for _, d := range drivers {
		if slices.Contains(d.Schemes, scheme) {
			return d.Open(ctx, url)
		}
	}
	return nil, invalid("broker URL: unknown broker %q; %s", scheme, linked(drivers))
}

func linked(drivers []Driver) string {
	if len(drivers) == 0 {
		return "no broker is linked into this program"
	}
	examples := make([]string, len(drivers))
	for i, d := range drivers {
		examples[i] = fmt.Sprintf("%s (%s)", d.Name, d.Example)
	}
	return "linked brokers: " + strings.Join(examples, ", ")
}

package mongostore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"lexigram.dev/events/store"
)

// Driver offers the backend by URLs such as mongodb://user:password@host:27017/lexigram. All settings of the MongoDB
// driver work as query parameters; prefix is the store's own.
func Driver() store.Driver {
	return store.Driver{
		Name:    "mongo",
		Schemes: []string{"mongodb", "mongodb+srv"},
		Example: "mongodb://user:password@host:27017/lexigram",
		Open: func(ctx context.Context, storeURL string, o store.OpenOptions) (store.Backend, error) {
			b, err := Open(ctx, storeURL, Options{AutoMigrate: o.AutoMigrate, ReadOnly: o.ReadOnly, Pending: o.Pending})
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

// badURL is an error that shows nothing of the URL: a parser's own message may quote a piece of the password.
func badURL(why string) error {
	return fmt.Errorf("open a mongo store: %w", &kindError{kind: store.ErrInvalid, err: errors.New("the URL " + why)})
}

// parseURL moves what is ours of the URL into the options and gives the rest as the driver's settings.
func parseURL(storeURL string, o *Options) (*options.ClientOptions, error) {
	if !strings.HasPrefix(storeURL, "mongodb://") && !strings.HasPrefix(storeURL, "mongodb+srv://") {
		return nil, badURL("must begin with mongodb:// or mongodb+srv://")
	}
	rest, err := takePrefix(storeURL, o)
	if err != nil {
		return nil, err
	}
	settings, err := connstring.Parse(rest)
	if err != nil {
		return nil, badURL("cannot be parsed: use mongodb://user:password@host:27017/database, special characters of the password percent-encoded")
	}
	for name := range settings.UnknownOptions {
		return nil, badURL(fmt.Sprintf("has an unknown parameter %q", name))
	}
	if err := refuseWeaker(settings); err != nil {
		return nil, err
	}
	if settings.Database != "" {
		if o.Database != "" && o.Database != settings.Database {
			return nil, badURL(fmt.Sprintf("names database %q, the options name %q", settings.Database, o.Database))
		}
		o.Database = settings.Database
	}
	return options.Client().ApplyURI(rest).SetAppName("lexigram-events"), nil
}

// takePrefix takes the parameter prefix out of the URL.
func takePrefix(storeURL string, o *Options) (string, error) {
	front, rawQuery, _ := strings.Cut(storeURL, "?")
	pairs := strings.Split(rawQuery, "&")
	kept := slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool { return strings.HasPrefix(pair, "prefix=") })
	if len(pairs)-len(kept) > 1 {
		return "", badURL("names the prefix twice")
	}
	for _, pair := range pairs {
		if value, found := strings.CutPrefix(pair, "prefix="); found {
			prefix, err := url.QueryUnescape(value)
			if err != nil || prefix == "" || o.Prefix != "" && o.Prefix != prefix {
				return "", badURL("has a prefix that is empty, malformed, or not that of the options")
			}
			o.Prefix = prefix
		}
	}
	if front != "" && !strings.Contains(strings.SplitN(front, "://", 2)[1], "/") {
		front += "/"
	}
	if len(kept) == 0 || len(kept) == 1 && kept[0] == "" {
		return front, nil
	}
	return front + "?" + strings.Join(kept, "&"), nil
}

// refuseWeaker refuses settings under which the store could not keep its promises, rather than ignoring them.
func refuseWeaker(settings *connstring.ConnString) error {
	switch {
	case settings.WString != "" && settings.WString != "majority", settings.WNumberSet:
		return badURL("sets w: the store writes with w=majority")
	case settings.JSet && !settings.J:
		return badURL("sets journal=false: the store's writes are journaled")
	case settings.ReadConcernLevel != "" && settings.ReadConcernLevel != "majority":
		return badURL("sets readConcernLevel: the store reads with majority concern")
	case settings.ReadPreference != "" && !strings.EqualFold(settings.ReadPreference, "primary"):
		return badURL("sets readPreference: the store reads from the primary")
	}
	return nil
}

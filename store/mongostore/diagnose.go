package mongostore

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/checkup"
)

// Diagnose implements store.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	asked := time.Now()
	raw, err := b.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Raw()
	if err != nil {
		return nil, translate(ctx, err)
	}
	findings := b.server.findings()
	if t, ok := raw.Lookup("localTime").TimeOK(); ok {
		findings = append(findings, checkup.Clock(t, asked, time.Now()))
	}
	return append(findings, b.permissions(ctx), b.disk(ctx)), nil
}

// findings judges the server's kind. What a write waits for is the store's own: see Open.
func (s server) findings() []checkup.Finding {
	version := checkup.Good("version", "%s", s)
	durability := checkup.Good("durability", "%s", s.durability())
	switch {
	case s.ferret != "":
		durability.Level, durability.Cure = checkup.Warn, "let one process write, and make the database under FerretDB durable; or use the postgres backend itself"
	case !s.replicaSet:
		durability.Level, durability.Cure = checkup.Warn, "make it a replica set, of one member at first (rs.initiate()): a lone server is lost with its disk, and followers must poll"
	}
	return []checkup.Finding{version, durability}
}

// permissions looks at the privileges that the server says the user has.
func (b *Backend) permissions(ctx context.Context) checkup.Finding {
	var status struct {
		Info struct {
			Users      []bson.M `bson:"authenticatedUsers"`
			Privileges []struct {
				Resource struct {
					DB         *string `bson:"db"`
					Collection *string `bson:"collection"`
					Any        bool    `bson:"anyResource"`
				} `bson:"resource"`
				Actions []string `bson:"actions"`
			} `bson:"authenticatedUserPrivileges"`
		} `bson:"authInfo"`
	}
	err := b.db.RunCommand(ctx, bson.D{{Key: "connectionStatus", Value: 1}, {Key: "showPrivileges", Value: true}}).Decode(&status)
	if err != nil {
		return checkup.Good("permissions", "not told by the server")
	}
	if len(status.Info.Users) == 0 {
		return checkup.Good("permissions", "the connection has no user: the server asks for none")
	}
	missing := []string{"find", "insert", "update", "remove"}
	for _, p := range status.Info.Privileges {
		if p.Resource.Any || p.Resource.DB != nil && (*p.Resource.DB == "" || *p.Resource.DB == b.options.Database) {
			missing = slices.DeleteFunc(missing, func(action string) bool { return slices.Contains(p.Actions, action) })
		}
	}
	f := checkup.Good("permissions", "may read and write")
	if len(missing) > 0 {
		f.Level, f.Found, f.Cure = checkup.Fail, "lacks rights on database "+b.options.Database, "grant the user the role readWrite on "+b.options.Database
	}
	return f
}

func (b *Backend) disk(ctx context.Context) checkup.Finding {
	var stats struct {
		Used  float64 `bson:"fsUsedSize"`
		Total float64 `bson:"fsTotalSize"`
	}
	if err := b.db.RunCommand(ctx, bson.D{{Key: "dbStats", Value: 1}}).Decode(&stats); err != nil || stats.Total <= 0 {
		return checkup.Good("free space", "not told by the server")
	}
	return checkup.Space(uint64(max(0, stats.Total-stats.Used)), uint64(stats.Total))
}

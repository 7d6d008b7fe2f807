package redisserver

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/checkup"
)

// Examine judges what a server has said of itself, and asks it for its clock and for the user's rights on key. things are
// what is kept in it, such as "events".
func (f Facts) Examine(ctx context.Context, client *redis.Client, things, key string) ([]checkup.Finding, error) {
	asked := time.Now()
	now, err := client.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	clock := checkup.Clock(now, asked, time.Now())
	return append(f.findings(things), clock, f.permissions(ctx, client, key)), nil
}

// findings judges version, durability and memory.
func (f Facts) findings(things string) []checkup.Finding {
	version := checkup.Good("version", "%s %s", f.Name, f.Version)
	if !f.Supported() {
		version.Level, version.Cure = checkup.Fail, "use Redis 6.2 or newer, or Valkey"
	}
	eviction := checkup.Good("eviction", "maxmemory-policy is %s", f.Policy)
	switch {
	case f.evicts():
		eviction.Level, eviction.Found = checkup.Fail, "maxmemory-policy is "+f.Policy+": when memory is short the server throws "+things+" away"
		eviction.Cure = "config set maxmemory-policy noeviction, and the same in redis.conf"
	case f.Policy == "":
		eviction.Found = "maxmemory-policy is not told by the server"
	}
	durability := checkup.Good("durability", "on disk before it is acknowledged (appendonly yes, appendfsync always)")
	if losses := f.losses(); len(losses) > 0 {
		durability.Level, durability.Found = checkup.Warn, strings.Join(losses, "; ")
		durability.Cure = "config set appendfsync always, and the same in redis.conf; or keep things here that the log can make again"
		if !f.AOF {
			durability.Level, durability.Cure = checkup.Fail, "config set appendonly yes and appendfsync always, and the same in redis.conf"
		}
	}
	memory := checkup.Good("memory", "%d MiB in use, without a limit", f.Used>>20)
	if f.Limit > 0 {
		memory.Found = strings.Replace(memory.Found, "without a limit", "of "+mebibytes(f.Limit), 1)
		if f.Used > f.Limit/10*9 {
			memory.Level, memory.Cure = checkup.Warn, "raise maxmemory, or truncate streams and trim topics: at the limit writes are refused"
		}
	}
	return []checkup.Finding{version, durability, eviction, memory}
}

// permissions asks whether the user may write a key; servers before 7 and users who may not ask do not tell.
func (f Facts) permissions(ctx context.Context, client *redis.Client, key string) checkup.Finding {
	if f.Replica {
		return checkup.Finding{Check: "permissions", Level: checkup.Fail, Found: "the server is a read-only replica", Cure: "name its primary"}
	}
	user, err := client.Do(ctx, "acl", "whoami").Text()
	if err != nil {
		return checkup.Good("permissions", "not told by the server")
	}
	answer, err := client.Do(ctx, "acl", "dryrun", user, "set", key, "x").Text()
	switch {
	case err != nil:
		return checkup.Good("permissions", "user %s; its rights are not told by the server", user)
	case answer != "OK":
		return checkup.Finding{
			Check: "permissions", Level: checkup.Fail, Found: "user " + user + " may not write " + key,
			Cure: "acl setuser " + user + " +@all -@dangerous +info +config|get ~" + key + "*",
		}
	}
	return checkup.Good("permissions", "user %s may write", user)
}

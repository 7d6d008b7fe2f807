package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
)

// server is what the server says about itself.
type server struct {
	name, version string // "redis" or "valkey"
	replica       bool
	aof           bool
	fsync         string // "" where it does not tell
	saves         string // points at which it makes snapshots; "" where it makes none or does not tell
	policy        string // of maxmemory
	told          bool   // it let us read its configuration
}

// node gives the client of the one server that holds a topic; of a server where the topic is "".
func (b *Backend) node(ctx context.Context, topic string) (*redis.Client, error) {
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, b.keysOf(topic).topic())
	}
	return b.client.(*redis.Client), nil
}

// askServer reads INFO and, where that is allowed, CONFIG. Managed services often forbid CONFIG.
func (b *Backend) askServer(ctx context.Context) (server, error) {
	var s server
	err := b.during(ctx, func() (err error) {
		s, err = b.readServer(ctx)
		return err
	})
	if err != nil {
		return server{}, translate(ctx, err)
	}
	return s, nil
}

func (b *Backend) readServer(ctx context.Context) (server, error) {
	node, err := b.node(ctx, "")
	if err != nil {
		return server{}, err
	}
	text, err := node.Info(ctx).Result()
	if err != nil {
		return server{}, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	if info["loading"] == "1" {
		return server{}, &kindError{kind: broker.ErrUnavailable, err: errors.New("the server is loading its data")}
	}
	s := server{
		name: "redis", version: info["redis_version"], replica: info["role"] == "slave", aof: info["aof_enabled"] == "1",
		policy: info["maxmemory_policy"],
	}
	if v := info["valkey_version"]; v != "" {
		s.name, s.version = "valkey", v
	}
	appendonly := ""
	for name, to := range map[string]*string{"appendonly": &appendonly, "appendfsync": &s.fsync, "save": &s.saves, "maxmemory-policy": &s.policy} {
		values, err := node.ConfigGet(ctx, name).Result()
		if answer(err) != "" {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		*to = values[name]
	}
	s.told = true
	s.aof = appendonly == "yes" // INFO says no for a moment while the server starts
	return s, nil
}

// check refuses a server that will not do, and warns of one that may lose messages.
func (b *Backend) check(ctx context.Context) error {
	s, err := b.askServer(ctx)
	if err != nil {
		return err
	}
	if s.replica {
		return &kindError{kind: broker.ErrRefused, err: errors.New("the server is a read-only replica: name its primary")}
	}
	major, minor := 0, 0
	if parts := strings.SplitN(s.version, ".", 3); len(parts) > 1 {
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
	}
	if major < 6 || major == 6 && minor < 2 {
		return &kindError{kind: broker.ErrUnsupported, err: fmt.Errorf("the server is %s %s, needed is Redis 6.2 or newer, or Valkey", s.name, s.version)}
	}
	faults := s.faults()
	if len(faults) == 0 {
		return nil
	}
	text := "confirmed messages may be lost: " + strings.Join(faults, "; ")
	if b.options.RequireDurable {
		return &kindError{kind: broker.ErrUnsupported, err: errors.New("durability is required, and " + text)}
	}
	b.options.OnWarning(fmt.Sprintf("redis broker %s: %s", b.location, text))
	return nil
}

// faults says in which ways a crash may lose what was confirmed.
func (s server) faults() []string {
	var faults []string
	switch {
	case !s.aof && s.saves != "":
		faults = append(faults, "appendonly is off: a crash loses what came after the last snapshot (save "+s.saves+")")
	case !s.aof && s.told:
		faults = append(faults, "appendonly is off and no snapshots are made: a restart loses everything")
	case !s.aof:
		faults = append(faults, "appendonly is off: a crash loses what came after the last snapshot, if any is made")
	case !s.told:
		faults = append(faults, "appendonly is on, but the server does not tell appendfsync (CONFIG is forbidden): unless it is always, a crash may lose the last moments")
	case s.fsync == "everysec":
		faults = append(faults, "appendfsync is everysec: a crash may lose the last second or two")
	case s.fsync != "always":
		faults = append(faults, "appendfsync is "+s.fsync+": a crash of the machine may lose the last half minute or so")
	}
	if strings.HasPrefix(s.policy, "allkeys-") {
		faults = append(faults, "maxmemory-policy is "+s.policy+": when memory is short the server throws messages away; set noeviction")
	}
	return faults
}

// durability says in plain words what a confirmed message survives.
func (s server) durability() string {
	if faults := s.faults(); len(faults) > 0 {
		return strings.Join(faults, "; ")
	}
	return "on disk before it is confirmed (appendonly yes, appendfsync always)"
}

// Describe implements broker.Backend.
func (b *Backend) Describe(ctx context.Context) (broker.Description, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Description{}, err
	}
	s, err := b.askServer(ctx)
	if err != nil {
		return broker.Description{}, err
	}
	d := broker.Description{Broker: "redis", Version: s.name + " " + s.version, Location: b.location, Durability: s.durability()}
	if b.options.WaitReplicas > 0 {
		d.Durability += fmt.Sprintf("; received by %d replicas before it is confirmed", b.options.WaitReplicas)
	}
	return d, nil
}

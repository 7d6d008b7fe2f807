package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"lexigram.dev/events/store"
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

// askServer reads INFO and, where that is allowed, CONFIG. Managed services often forbid CONFIG.
func (b *Backend) askServer(ctx context.Context) (server, error) {
	node, err := b.node(ctx, b.reads)
	if err != nil {
		return server{}, err
	}
	r, err := b.ask(ctx, node, []any{"info"})
	if err != nil {
		return server{}, err
	}
	info := map[string]string{}
	for line := range strings.Lines(string(r.text())) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	if r.err != nil {
		return server{}, r.err
	}
	s := server{
		name: "redis", version: info["redis_version"], replica: info["role"] == "slave", aof: info["aof_enabled"] == "1",
		policy: info["maxmemory_policy"],
	}
	if v := info["valkey_version"]; v != "" {
		s.name, s.version = "valkey", v
	}
	for name, to := range map[string]*string{"appendfsync": &s.fsync, "save": &s.saves, "maxmemory-policy": &s.policy} {
		r, err := b.ask(ctx, node, []any{"config", "get", name})
		if _, refused := asServerError(err); refused {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		if n := r.pairs(); n > 0 {
			r.bytes()
			*to = string(r.bytes())
		}
		if r.err != nil {
			return s, r.err
		}
	}
	s.told = true
	return s, nil
}

// check refuses a server that cannot keep a store.
func (s server) check(readOnly bool) error {
	if s.replica && !readOnly {
		return &kindError{kind: store.ErrReadOnly, err: fmt.Errorf("the server is a replica: name its primary")}
	}
	major, minor := 0, 0
	parts := strings.SplitN(s.version, ".", 3)
	if len(parts) > 1 {
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
	}
	if major < 6 || major == 6 && minor < 2 {
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("the server is %s %s, needed is Redis 6.2 or newer, or Valkey", s.name, s.version)}
	}
	return nil
}

// evicts reports whether keys without a time to live, as all of ours are, may be thrown out when memory is short.
func (s server) evicts() bool { return strings.HasPrefix(s.policy, "allkeys-") }

// faults says in which ways a crash may lose what was acknowledged.
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
	if s.evicts() {
		faults = append(faults, "maxmemory-policy is "+s.policy+": when memory is short the server throws events away; set noeviction")
	}
	return faults
}

// durability says in plain words what an acknowledged append survives.
func (s server) durability() string {
	if faults := s.faults(); len(faults) > 0 {
		return strings.Join(faults, "; ")
	}
	return "on disk before it is acknowledged (appendonly yes, appendfsync always)"
}

// text gives the answer as a string, also where it is marked as verbatim.
func (r *reply) text() []byte {
	if len(r.rest) > 0 && r.rest[0] == '=' {
		r.rest = append([]byte{'$'}, r.rest[1:]...)
		return r.bytes()[len("txt:"):]
	}
	return r.bytes()
}

// pairs gives how many names and values follow, in a map or an array.
func (r *reply) pairs() int {
	kind, line := r.line()
	switch kind {
	case '%':
		return int(r.number(line))
	case '*':
		return int(r.number(line)) / 2
	}
	r.fail(errReply)
	return 0
}

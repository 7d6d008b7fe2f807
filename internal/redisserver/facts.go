package redisserver

import (
	"strconv"
	"strings"
)

// Facts are what a server says about itself.
type Facts struct {
	Name, Version string // "redis" or "valkey"
	Replica       bool
	Loading       bool // its data, after a start: it cannot be asked for any yet
	AOF           bool
	Fsync         string // "" where it does not tell
	Saves         string // points at which it makes snapshots; "" where it makes none or does not tell
	Policy        string // of maxmemory
	Used, Limit   int64  // bytes of memory; 0: no limit
	Told          bool   // it let us read its configuration
}

// Read takes the answer of INFO, and those of CONFIG GET: config gives the value of a setting, or told as false where
// reading the configuration is forbidden, as managed services often do.
func Read(info string, config func(name string) (value string, told bool, err error)) (Facts, error) {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	f := Facts{
		Name: "redis", Version: fields["redis_version"], Replica: fields["role"] == "slave", Loading: fields["loading"] == "1",
		AOF: fields["aof_enabled"] == "1", Policy: fields["maxmemory_policy"],
	}
	if v := fields["valkey_version"]; v != "" {
		f.Name, f.Version = "valkey", v
	}
	f.Used, _ = strconv.ParseInt(fields["used_memory"], 10, 64) // 0 where the server does not tell
	f.Limit, _ = strconv.ParseInt(fields["maxmemory"], 10, 64)
	appendonly := ""
	for _, c := range []struct {
		name string
		to   *string
	}{{"appendonly", &appendonly}, {"appendfsync", &f.Fsync}, {"save", &f.Saves}, {"maxmemory-policy", &f.Policy}} {
		value, told, err := config(c.name)
		if err != nil || !told {
			return f, err
		}
		*c.to = value
	}
	f.Told, f.AOF = true, appendonly == "yes" // INFO says no for a moment while the server starts
	return f, nil
}

// Supported reports whether the server is Redis 6.2 or newer, or Valkey.
func (f Facts) Supported() bool {
	major, minor := 0, 0
	if parts := strings.SplitN(f.Version, ".", 3); len(parts) > 1 {
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
	}
	return major > 6 || major == 6 && minor >= 2
}

// Faults says in which ways a crash may lose things, such as "events", that were acknowledged.
func (f Facts) Faults(things string) []string {
	faults := f.losses()
	if f.evicts() {
		faults = append(faults, "maxmemory-policy is "+f.Policy+": when memory is short the server throws "+things+" away; set noeviction")
	}
	return faults
}

// evicts: keys without a time to live, as all of ours are, may be thrown out.
func (f Facts) evicts() bool { return strings.HasPrefix(f.Policy, "allkeys-") }

// losses says what a crash may cost.
func (f Facts) losses() []string {
	var faults []string
	switch {
	case !f.AOF && f.Saves != "":
		faults = append(faults, "appendonly is off: a crash loses what came after the last snapshot (save "+f.Saves+")")
	case !f.AOF && f.Told:
		faults = append(faults, "appendonly is off and no snapshots are made: a restart loses everything")
	case !f.AOF:
		faults = append(faults, "appendonly is off: a crash loses what came after the last snapshot, if any is made")
	case !f.Told:
		faults = append(faults, "appendonly is on, but the server does not tell appendfsync (CONFIG is forbidden): unless it is always, a crash may lose the last moments")
	case f.Fsync == "everysec":
		faults = append(faults, "appendfsync is everysec: a crash may lose the last second or two")
	case f.Fsync != "always":
		faults = append(faults, "appendfsync is "+f.Fsync+": a crash of the machine may lose the last half minute or so")
	}
	return faults
}

// Durability says in plain words what acknowledged things survive.
func (f Facts) Durability(things string) string {
	if faults := f.Faults(things); len(faults) > 0 {
		return strings.Join(faults, "; ")
	}
	return "on disk before it is acknowledged (appendonly yes, appendfsync always)"
}

func mebibytes(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }

package config

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// names knows every name that a key or section has.
type names struct {
	keys     map[string]*key
	sections map[string]bool // known as such, by any name
	all      []string        // paths of keys
}

func newNames() *names {
	n := &names{keys: map[string]*key{}, sections: map[string]bool{}}
	add := func(path string) {
		for i, c := range path {
			if c == '.' {
				n.sections[path[:i]] = true
			}
		}
	}
	for _, k := range keys() {
		n.keys[k.path] = &k
		n.all = append(n.all, k.path)
		add(k.path)
	}
	for alias := range keyAliases() {
		add(alias)
	}
	for alias := range sectionAliases() {
		add(alias + ".")
	}
	return n
}

// sectionAliases are further names of sections.
func sectionAliases() map[string]string {
	return map[string]string{
		"postgresql": "postgres", "mongo": "mongodb", "sagas": "saga", "projections": "projection",
		"event_bus.kafka": "kafka", "event_bus.rabbitmq": "rabbitmq", "event_bus.nats": "nats",
		"middleware.logging": "logging_middleware", "middleware.validation": "validation_middleware",
		"middleware.transaction": "transaction_middleware", "middleware.retry": "retry_middleware",
		"middleware.metrics": "metrics_middleware", "middleware.circuit_breaker": "circuit_breaker_middleware",
	}
}

// keyAliases are further names of keys, where their sections have their first name. Besides, each key that ends with
// "_seconds" has a name without it, and a section with a key "enabled" may be given as true or false.
func keyAliases() map[string]string {
	return map[string]string{
		"event_store.backend": "event_store_backend", "environment": "env",
		"postgres.connection_string": "postgres.dsn", "postgres.url": "postgres.dsn",
		"mongodb.uri": "mongodb.connection_string", "mongodb.dsn": "mongodb.connection_string", "mongodb.url": "mongodb.connection_string",
		"mongodb.database": "mongodb.database_name", "mongodb.collection": "mongodb.events_collection",
		"redis.dsn": "redis.url", "redis.connection_string": "redis.url", "sqlite.path": "sqlite.database",
		"event_bus.redis.dsn": "event_bus.redis.url", "kafka.topic": "event_bus.topic",
		"query_bus.cache_results": "query_bus.enable_caching", "snapshots.frequency": "snapshots.event_count_threshold",
		"saga.timeout": "saga.default_timeout_seconds", "handlers.max_parallel": "event_bus.max_concurrent_handlers",
		maxAttempts: "retry_middleware.max_retries",
	}
}

// maxAttempts counts the first attempt too, unlike the key that it stands for.
const maxAttempts = "retry_middleware.max_attempts"

// first gives the first name of a path whose sections may have other ones.
func first(path string) string {
	for from, to := range sectionAliases() {
		if rest, ok := strings.CutPrefix(path, from); ok && (rest == "" || rest[0] == '.') {
			return first(to + rest)
		}
	}
	return path
}

// key finds the key of a path under any of its names, with the value as the key takes it.
func (n *names) key(path string, raw any) (*key, any, error) {
	path = first(path)
	if to, ok := keyAliases()[path]; ok {
		k := n.keys[to]
		if path != maxAttempts {
			return k, raw, nil
		}
		s, _ := raw.(scalar)
		attempts, err := strconv.Atoi(s.text)
		if err != nil || attempts < 1 {
			return k, nil, errors.New("must be a whole number of at least 1")
		}
		return k, scalar{text: strconv.Itoa(attempts - 1), kind: aNumber}, nil
	}
	for _, name := range []string{path, path + "_seconds"} {
		if k := n.keys[name]; k != nil {
			return k, raw, nil
		}
	}
	if _, single := raw.(scalar); single {
		if k := n.keys[path+".enabled"]; k != nil {
			return k, raw, nil
		}
	}
	return nil, raw, nil
}

// section reports whether there is a section of that path, by any of its names.
func (n *names) section(path string) bool { return n.sections[path] || n.sections[first(path)] }

// nearest gives the path that was meant by one that is unknown: at first within its section.
func (n *names) nearest(path string) string {
	section, name := "", path
	if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
		section, name = path[:dot+1], path[dot+1:]
	}
	var inside []string
	for _, known := range n.paths() {
		if rest, ok := strings.CutPrefix(known, first(strings.TrimSuffix(section, "."))+"."); section != "" && ok && !strings.Contains(rest, ".") {
			inside = append(inside, rest)
		} else if section == "" && !strings.Contains(known, ".") {
			inside = append(inside, known)
		}
	}
	if found := nearest(name, inside); found != "" {
		return section + found
	}
	return nearest(path, n.paths())
}

// paths lists all keys and sections.
func (n *names) paths() []string {
	return slices.Concat(n.all, slices.Collect(maps.Keys(keyAliases())), slices.Sorted(maps.Keys(n.sections)))
}

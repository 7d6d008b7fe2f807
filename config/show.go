package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Setting is a key with its value, for people.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // secrets are masked
	Origin Origin `json:"origin"`
	Env    string `json:"env"` // the variable that sets it
}

// Settings lists all keys with their values, in the order of docs/configuration.md. It holds no secrets.
func (c *Config) Settings() []Setting {
	all := keys()
	settings := make([]Setting, len(all))
	for i := range all {
		settings[i] = Setting{Key: all[i].path, Value: all[i].show(c), Origin: c.origin(&all[i]), Env: all[i].env()}
	}
	return settings
}

// Origin tells where the value of a key comes from: a place of a file, a variable, FromCode or FromDefault.
func (c *Config) Origin(path string) Origin {
	all := keys()
	if i := slices.IndexFunc(all, func(k key) bool { return k.path == path }); i >= 0 {
		return c.origin(&all[i])
	}
	return FromDefault
}

func (c *Config) origin(k *key) Origin {
	value := k.field(c).Interface()
	from, ok := c.loaded[k.path]
	switch {
	case ok && from.of(value) == from.sum:
		return from.origin
	case ok || !reflect.DeepEqual(value, k.initial.Interface()):
		return FromCode
	default:
		return FromDefault
	}
}

// given reports whether a value was chosen.
func (c *Config) given(path string) bool { return c.Origin(path) != FromDefault }

// show gives the value as it would be written in a file.
func (k *key) show(c *Config) string {
	switch value := k.field(c).Interface().(type) {
	case Secret:
		return value.Masked()
	case time.Duration:
		return value.String()
	case []string:
		return strings.Join(value, ",")
	case []float64:
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(value), " ", ","), "[]")
	case map[string]string:
		var pairs []string
		for _, name := range sortedNames(value) {
			pairs = append(pairs, name+"="+value[name])
		}
		return strings.Join(pairs, ",")
	case []ReadModel:
		var models []string
		for _, m := range value {
			models = append(models, fmt.Sprintf("%s(enabled=%t,rebuild_on_startup=%t)", m.Name, m.Enabled, m.RebuildOnStartup))
		}
		return strings.Join(models, ",")
	default:
		return fmt.Sprint(value)
	}
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// DefaultFile is the file that is read where none is named.
const DefaultFile = "application.yaml"

// Source says where a configuration comes from; the zero value reads application.yaml here, if it is there, the profile
// that LEX_PROFILE names, and the environment.
type Source struct {
	// Path of the file. A file that is named must be there and have a section "events". Defaults to application.yaml.
	Path string

	// Profile names the overlay: application.<profile>.yaml beside application.yaml. A named profile must be there,
	// unless there is no file at all. Defaults to the variable LEX_PROFILE.
	Profile string

	// Environ are the variables, as "NAME=value". Defaults to os.Environ(); give an empty one for none.
	Environ []string
}

// Origin says where a value comes from.
type Origin string

// The origins that are no place of a file and no variable.
const (
	FromDefault Origin = "default"
	FromCode    Origin = "code"
)

// leaf is a value of a key in one of the layers.
type leaf struct {
	key   *key
	name  string // as it was written
	place string
	raw   any // a scalar, a []any, or a *section
}

// Load reads a configuration. All faults are one *Error.
func Load(s Source) (*Config, error) {
	if s.Environ == nil {
		s.Environ = os.Environ()
	}
	if s.Profile == "" {
		s.Profile = lookup(s.Environ, "LEX_PROFILE")
	}
	l := &loader{names: newNames(), environ: s.Environ}
	l.files(s)
	l.layer(environment(s.Environ))
	c := l.merge()
	if c != nil {
		l.faults = append(l.faults, c.check()...)
	}
	if err := l.faults.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// loader reads the layers, the first being the weakest.
type loader struct {
	names   *names
	environ []string
	layers  [][]leaf
	faults  faults
}

// files reads the file and its overlay.
func (l *loader) files(s Source) {
	named := s.Path != ""
	if !named {
		s.Path = DefaultFile
	}
	found := l.file(s.Path, named)
	if s.Profile == "" {
		return
	}
	if strings.ContainsAny(s.Profile, `/\`) {
		l.faults.add("LEX_PROFILE", "", "must be the name of a profile, not a path")
		return
	}
	extension := filepath.Ext(s.Path)
	l.file(strings.TrimSuffix(s.Path, extension)+"."+s.Profile+extension, found)
}

// file reads one file. It reports whether it was there.
func (l *loader) file(path string, needed bool) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		if needed || !errors.Is(err, fs.ErrNotExist) {
			var pathErr *fs.PathError
			if errors.As(err, &pathErr) {
				err = pathErr.Err
			}
			l.faults.add(path, "", "cannot be read: %v", err)
		}
		return false
	}
	root, fault := parse(path, content)
	if fault != nil {
		l.faults = append(l.faults, *fault)
		return true
	}
	e, ok := find(root.entries, "events")
	if !ok {
		l.noEvents(path, root, needed)
		return true
	}
	switch s := e.value.(type) {
	case nil:
	case *section:
		l.layer(s)
	default:
		l.faults.add(e.place, "events", "must be a section")
	}
	return true
}

// noEvents looks at a file without our section: perhaps its name is misspelled.
func (l *loader) noEvents(path string, root *section, needed bool) {
	for _, e := range root.entries {
		if nearest(strings.ToLower(e.name), []string{"events"}) != "" {
			l.faults = append(l.faults, Fault{Place: e.place, Key: e.name, Text: "unknown section", Nearest: "events"})
			return
		}
	}
	if needed {
		l.faults.add(path, "", `has no section "events"`)
	}
}

// layer takes what one source says.
func (l *loader) layer(root *section) {
	var leaves []leaf
	l.walk(root, "", &leaves)
	l.layers = append(l.layers, leaves)
}

func (l *loader) walk(s *section, prefix string, leaves *[]leaf) {
	for _, e := range s.entries {
		path := prefix + harmlessName(e.name)
		below, isSection := e.value.(*section)
		k, raw, err := l.names.key(path, e.value)
		switch {
		case err != nil:
			l.faults.add(e.place, path, "%v", err)
		case k != nil && e.value == nil: // nothing is given
		case k != nil:
			*leaves = append(*leaves, leaf{key: k, name: path, place: e.place, raw: raw})
		case !l.names.section(path):
			l.faults = append(l.faults, Fault{Place: e.place, Key: path, Text: "unknown key", Nearest: l.names.nearest(path)})
		case isSection:
			l.walk(below, path+".", leaves)
		case e.value != nil:
			l.faults.add(e.place, path, "must be a section")
		}
	}
}

// merge makes the configuration. koanf puts the layers on each other. It gives nil where that is impossible.
func (l *loader) merge() *Config {
	strongest := map[string]leaf{}
	for _, layer := range l.layers {
		for _, leaf := range layer {
			strongest[leaf.key.path] = leaf
		}
	}
	x := &expander{environ: l.environ, value: func(path string) (string, bool, bool) {
		k := l.names.keys[path]
		if k == nil {
			return "", false, false
		}
		given, ok := strongest[path]
		if !ok {
			return k.text, k.secret(), true
		}
		s, single := given.raw.(scalar)
		return s.text, k.secret(), single
	}}
	k := koanf.New(".")
	defaults := map[string]any{}
	for _, key := range l.names.keys {
		defaults[key.path] = key.initial.Interface()
	}
	origins := map[string]Origin{}
	if !l.load(k, defaults) {
		return nil
	}
	for _, layer := range l.layers {
		values := map[string]any{}
		by := map[string]leaf{}
		for _, leaf := range layer {
			value, ok := l.value(leaf, x, strongest)
			if !ok {
				continue
			}
			path := leaf.key.path
			if other, twice := by[path]; twice && !reflect.DeepEqual(values[path], value) {
				l.faults.add(leaf.place, leaf.name, "says something else than %s at %s: they are names of the same key", other.name, other.place)
				continue
			}
			values[path], by[path] = value, leaf
			origins[path] = Origin(leaf.place)
		}
		if !l.load(k, values) {
			return nil
		}
	}
	c := &Config{}
	if err := k.Unmarshal("", c); err != nil {
		l.faults.add("", "", "cannot be put together: a value is of a wrong type")
		return nil
	}
	c.loaded = map[string]loaded{}
	for _, key := range l.names.keys {
		if from, ok := origins[key.path]; ok {
			c.loaded[key.path] = newLoaded(from, key.field(c).Interface())
		}
	}
	return c
}

// harmlessName is a name as it may be shown: a value that slipped into the place of a name may be a secret.
func harmlessName(name string) string {
	if strings.ContainsAny(name, ":@/= ") {
		return hidden
	}
	return name
}

func (l *loader) load(k *koanf.Koanf, values map[string]any) bool {
	if err := k.Load(confmap.Provider(values, "."), nil); err != nil {
		l.faults.add("", "", "cannot be put together: %v", err)
		return false
	}
	return true
}

// value expands and converts a leaf. One that a stronger layer replaces need not have its variables set.
func (l *loader) value(leaf leaf, x *expander, strongest map[string]leaf) (any, bool) {
	x.path = []string{leaf.key.path}
	raw, err := x.tree(leaf.raw, leaf.key.secret())
	if err != nil {
		if strongest[leaf.key.path].place == leaf.place {
			l.faults.add(leaf.place, leaf.name, "%v", err)
		}
		return nil, false
	}
	value, err := leaf.key.convert(raw)
	if err != nil {
		l.faults.add(leaf.place, leaf.name, "%v%s", err, shown(leaf))
		return nil, false
	}
	if value.Kind() == reflect.Map { // koanf merges these name by name
		names := map[string]any{}
		for name, text := range value.Seq2() {
			names[name.String()] = text.String()
		}
		return names, true
	}
	return value.Interface(), true
}

// shown quotes what was written, where it is harmless.
func shown(leaf leaf) string {
	s, single := leaf.raw.(scalar)
	if !single || leaf.key.secret() {
		return ""
	}
	return fmt.Sprintf(", not %.60q", s.text)
}

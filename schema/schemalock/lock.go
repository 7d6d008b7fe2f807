package schemalock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"

	"lexigram.dev/events/schema"
)

// format is the version of the file's own format.
const format = 1

// Lock is the shapes of event types. It is not changed after it was made, so it is safe for concurrent use.
type Lock struct {
	Format int               `json:"format"`
	Types  map[string]Locked `json:"types"` // by stored name
}

// Locked is one event type in each of its versions.
type Locked struct {
	Current     int              `json:"current"`
	Oldest      int              `json:"oldest"`
	ContentType string           `json:"content_type"`
	Aliases     []string         `json:"aliases,omitempty"` // other names under which it is stored
	ReadAs      []string         `json:"read_as,omitempty"` // the Go types that it is split into; "nothing" where it is dropped
	Versions    map[string]Shape `json:"versions"`          // by version; older ones as they were when they were current
}

// Take makes the lock of a registry. What the lock before it, if there is one, knows of older versions, and of types that
// have gone, is kept: their events are stored still.
func Take(r *schema.Registry, before *Lock) *Lock {
	l := &Lock{Format: format, Types: map[string]Locked{}}
	if before != nil {
		for name, t := range before.Types {
			t.Versions = maps.Clone(t.Versions)
			l.Types[name] = t
		}
	}
	for _, t := range r.Types() {
		versions := l.Types[t.Name].Versions
		if versions == nil {
			versions = map[string]Shape{}
		}
		for _, alias := range t.Aliases { // what was stored under another name goes on here
			if old, ok := l.Types[alias]; ok {
				for version, shape := range old.Versions {
					if _, there := versions[version]; !there {
						versions[version] = shape
					}
				}
				delete(l.Types, alias)
			}
		}
		locked := Locked{
			Current: t.Version, Oldest: t.Oldest, ContentType: t.ContentType, Versions: versions,
			Aliases: slices.Sorted(slices.Values(t.Aliases)), ReadAs: readAs(t),
		}
		if t.Go == nil && len(versions) > 0 { // dropped: what it was is kept
			locked.Current, locked.Oldest, locked.ContentType = l.Types[t.Name].Current, l.Types[t.Name].Oldest, l.Types[t.Name].ContentType
		} else {
			versions[strconv.Itoa(t.Version)] = shapeFor(t)
		}
		l.Types[t.Name] = locked
	}
	return l
}

// readAs names what a type is read as, where that is not itself.
func readAs(t schema.Type) []string {
	if !t.Replaced {
		return nil
	}
	if len(t.Parts) == 0 {
		return []string{"nothing"}
	}
	names := make([]string, len(t.Parts))
	for i, part := range t.Parts {
		names[i] = part.String()
	}
	return names
}

func shapeFor(t schema.Type) Shape {
	if t.Go == nil {
		return Shape{Kind: "any"}
	}
	if t.ContentType != (schema.JSON{}).ContentType() {
		return Shape{Kind: "custom", Go: t.Go.String()}
	}
	return ShapeOf(t.Go)
}

// names gives the types' names, sorted.
func (l *Lock) names() []string { return slices.Sorted(maps.Keys(l.Types)) }

// Read reads a lock from a file. A file that is not there gives fs.ErrNotExist.
func Read(path string) (*Lock, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("schema lock %s: %w: take a snapshot first", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("schema lock: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var l Lock
	if err := decoder.Decode(&l); err != nil {
		at := decoder.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = syntax.Offset
		}
		return nil, fmt.Errorf("schema lock %s: line %d: %w", path, 1+bytes.Count(data[:at], []byte("\n")), err)
	}
	if l.Format != format {
		return nil, fmt.Errorf("schema lock %s: its format is %d, this program knows %d", path, l.Format, format)
	}
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("schema lock %s: %w", path, err)
	}
	return &l, nil
}

// validate finds what no snapshot has written.
func (l *Lock) validate() error {
	for _, name := range l.names() {
		t := l.Types[name]
		if _, ok := t.Versions[strconv.Itoa(t.Current)]; !ok {
			return fmt.Errorf("type %s: version %d, the current one, has no shape", name, t.Current)
		}
		for version, shape := range t.Versions {
			if err := shape.validate(); err != nil {
				return fmt.Errorf("type %s, version %s: %w", name, version, err)
			}
		}
	}
	return nil
}

// Write writes the lock to a file, whole or not at all; the same lock always gives the same bytes.
func (l *Lock) Write(path string) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = os.WriteFile(path+".new", append(data, '\n'), 0o644) //nolint:gosec // it is source code
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("schema lock: %w", err)
	}
	return nil
}

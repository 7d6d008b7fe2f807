package schemalock

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lexigram.dev/events/schema"
)

// Check compares the lock with a registry and tells each change, those of one type together, sorted by name. No change:
// the lock is up to date.
func (l *Lock) Check(r *schema.Registry, c Compatibility) []Change {
	today, renamed := map[string]schema.Type{}, map[string]string{} // renamed: from an alias to the name
	for _, t := range r.Types() {
		today[t.Name] = t
		for _, alias := range t.Aliases {
			renamed[alias] = t.Name
		}
	}
	now := Take(r, nil)
	names := map[string]bool{}
	for name := range l.Types {
		names[name] = true
	}
	for name := range today {
		names[name] = true
	}
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		locked, known := l.Types[name]
		t, registered := today[name]
		var found []Change
		switch successor, was := renamed[name]; {
		case was:
			found = append([]Change{{
				Text: fmt.Sprintf("is called %s now, and read under both names; programs from before do not know the new one", successor),
				Cure: "let them know it as an alias first", harmful: Forward,
			}}, versions(locked, now.Types[successor], today[successor])...)
		case !known && l.formerly(t):
			continue // told of its former name
		case !known:
			found = []Change{{Text: fmt.Sprintf("is new, in version %d", t.Version)}}
		case !registered:
			found = []Change{{
				Text: "is not registered any more: its events cannot be decoded", Cure: "register it again, say schema.Drop, or copy the log without it", harmful: Backward,
			}}
		default:
			found = versions(locked, now.Types[name], t)
			found = append(found, aliases(locked, now.Types[name])...)
		}
		for _, change := range found {
			change.Type = name
			changes = append(changes, judged(change, c))
		}
	}
	return changes
}

// formerly reports whether the lock knows a type under another of its names.
func (l *Lock) formerly(t schema.Type) bool {
	return slices.ContainsFunc(t.Aliases, func(alias string) bool { _, ok := l.Types[alias]; return ok })
}

func judged(change Change, c Compatibility) Change {
	change.Breaks = change.harmful == Full || change.harmful != "" && (c == Full || change.harmful == c)
	return change
}

// aliases compares the names under which a type is read.
func aliases(locked, now Locked) (changes []Change) {
	for _, alias := range locked.Aliases {
		if !slices.Contains(now.Aliases, alias) {
			changes = append(changes, Change{
				Text: fmt.Sprintf("is not read under the name %s any more", alias), Cure: "keep the alias while such events are stored", harmful: Backward,
			})
		}
	}
	for _, alias := range now.Aliases {
		if !slices.Contains(locked.Aliases, alias) {
			changes = append(changes, Change{Text: fmt.Sprintf("is read under the name %s too", alias)})
		}
	}
	return changes
}

// Compare compares two versions of a type that the lock knows: whether programs that know one can read what those of the
// other write, with no upcaster between them.
func (l *Lock) Compare(name string, from, to int, c Compatibility) ([]Change, error) {
	t, ok := l.Types[name]
	if !ok {
		return nil, fmt.Errorf("schema lock: type %s: there is none; it has %s", name, strings.Join(l.names(), ", "))
	}
	var shapesOf [2]Shape
	for i, version := range []int{from, to} {
		if shapesOf[i], ok = t.Versions[strconv.Itoa(version)]; !ok {
			return nil, fmt.Errorf("schema lock: type %s: no version %d is locked, only %s", name, version, strings.Join(slices.Sorted(maps.Keys(t.Versions)), ", "))
		}
	}
	changes := shapes("", shapesOf[0], shapesOf[1])
	for i := range changes {
		changes[i].Type = name
		changes[i] = judged(changes[i], c)
	}
	return changes, nil
}

// versions compares a type that is locked with what is registered.
func versions(locked, now Locked, t schema.Type) (changes []Change) {
	if !slices.Equal(locked.ReadAs, now.ReadAs) {
		as := strings.Join(now.ReadAs, ", ")
		if as == "" {
			as = "itself"
		}
		changes = append(changes, Change{
			Text: fmt.Sprintf("is read as %s now, and its events are not written any more", as), Cure: "let programs from before be replaced first", harmful: Forward,
		})
	}
	if t.Go == nil { // dropped, whatever it was
		return changes
	}
	if locked.ContentType != now.ContentType {
		changes = append(changes, Change{
			Text: fmt.Sprintf("was stored as %s, is %s", locked.ContentType, now.ContentType), Cure: "keep the codec of what is stored", harmful: Full,
		})
	}
	switch {
	case t.Version < locked.Current:
		return append(changes, Change{
			Text: fmt.Sprintf("is version %d, and version %d is stored", t.Version, locked.Current), Cure: "versions only grow", harmful: Full,
		})
	case t.Version > locked.Current:
		changes = append(changes, Change{
			Text: fmt.Sprintf("is version %d now, was %d: programs from before cannot read it", t.Version, locked.Current), Cure: "let them be replaced first", harmful: Forward,
		})
	default:
		version := strconv.Itoa(t.Version)
		changes = append(changes, shapes("", locked.Versions[version], now.Versions[version])...)
	}
	if t.Oldest > locked.Oldest {
		changes = append(changes, Change{
			Text: fmt.Sprintf("is read from version %d on, was from %d", t.Oldest, locked.Oldest), Cure: "keep the upcasters while such events are stored", harmful: Backward,
		})
	}
	return changes
}

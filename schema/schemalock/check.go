package schemalock

import (
	"fmt"
	"strconv"

	"lexigram.dev/events/schema"
)

// Check compares the lock with a registry and tells each change, those of one type together, sorted by name. No change:
// the lock is up to date.
func (l *Lock) Check(r *schema.Registry, c Compatibility) []Change {
	today := map[string]schema.Type{}
	for _, t := range r.Types() {
		today[t.Name] = t
	}
	now := Take(r, nil)
	var changes []Change
	for _, name := range Take(r, l).names() {
		locked, known := l.Types[name]
		t, registered := today[name]
		var found []Change
		switch {
		case !known:
			found = []Change{{Text: fmt.Sprintf("is new, in version %d", t.Version)}}
		case !registered:
			found = []Change{{
				Text: "is not registered any more: its events cannot be decoded", Cure: "register it again, or copy the log without it", harmful: Backward,
			}}
		default:
			found = versions(locked, now.Types[name], t)
		}
		for _, change := range found {
			change.Type = name
			change.Breaks = change.harmful == Full || change.harmful != "" && (c == Full || change.harmful == c)
			changes = append(changes, change)
		}
	}
	return changes
}

// versions compares a type that is locked with what is registered.
func versions(locked, now Locked, t schema.Type) (changes []Change) {
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

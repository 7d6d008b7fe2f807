package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// errSecret says that a value which is shown refers to one which is not.
var errSecret = errors.New("refers to a secret, which would be shown here")

var (
	variableForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	referenceForm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)
)

// expander replaces ${VARIABLE} and ${VARIABLE:-default}, where the default counts when the variable is empty too, and
// ${section.key}, the value of another key. $${ stands for ${ itself. What variables hold is taken as it is.
type expander struct {
	environ []string
	value   func(path string) (text string, secret bool, ok bool) // as it was written
	path    []string                                              // of keys that are being expanded
}

// expand expands a text. secret says that what comes of it is not shown.
func (x *expander) expand(text string, secret bool) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if escaped, ok := strings.CutSuffix(before, "$"); found && ok {
			b.WriteString(escaped + "${")
			text = rest
			continue
		}
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		end := closing(rest)
		if end < 0 {
			return "", errors.New("${ without its }")
		}
		value, err := x.one(rest[:end], secret)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = rest[end+1:]
	}
}

// closing is where the } is that belongs to a ${ before.
func closing(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}' && depth == 0:
			return i
		case text[i] == '}':
			depth--
		}
	}
	return -1
}

// one expands what is between the braces.
func (x *expander) one(inner string, secret bool) (string, error) {
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	var value string
	switch {
	case variableForm.MatchString(name):
		value = lookup(x.environ, name)
	case referenceForm.MatchString(name):
		var err error
		if value, err = x.reference(strings.TrimPrefix(name, "events."), secret); err != nil {
			return "", err
		}
	default:
		return "", errors.New("${…} must hold the name of a variable, or a key with its section")
	}
	switch {
	case value != "":
		return value, nil
	case hasFallback:
		return x.expand(fallback, secret)
	default:
		return "", fmt.Errorf("%s is not set; set it, or give a default: ${%s:-…}", name, name)
	}
}

// reference gives the value of another key.
func (x *expander) reference(path string, secret bool) (string, error) {
	path = first(path)
	if to, ok := keyAliases()[path]; ok {
		path = to
	}
	for i, on := range x.path {
		if on == path {
			circle := strings.Join(append(append([]string(nil), x.path[i:]...), path), " → ")
			return "", errors.New("values refer to each other in a circle: " + circle)
		}
	}
	text, isSecret, ok := x.value(path)
	switch {
	case !ok:
		return "", fmt.Errorf("${%s}: there is no such key with a single value", path)
	case isSecret && !secret:
		return "", fmt.Errorf("${%s}: %w", path, errSecret)
	}
	deeper := *x
	deeper.path = append(append([]string(nil), x.path...), path)
	return deeper.expand(text, secret)
}

// tree expands all that is in a value.
func (x *expander) tree(raw any, secret bool) (any, error) {
	switch raw := raw.(type) {
	case scalar:
		if !strings.Contains(raw.text, "${") {
			return raw, nil
		}
		text, err := x.expand(raw.text, secret)
		return scalar{text: text}, err
	case []any:
		items := make([]any, len(raw))
		for i, item := range raw {
			var err error
			if items[i], err = x.tree(item, secret); err != nil {
				return nil, err
			}
		}
		return items, nil
	case *section:
		values := make(map[string]any, len(raw.entries))
		for _, e := range raw.entries {
			var err error
			if values[e.name], err = x.tree(e.value, secret); err != nil {
				return nil, err
			}
		}
		return values, nil
	default:
		return raw, nil
	}
}

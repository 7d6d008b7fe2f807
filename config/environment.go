package config

import (
	"slices"
	"strings"
)

// environment makes sections of the variables with our prefix, in the order of their names.
func environment(environ []string) *section {
	root := &section{}
	variables := slices.Clone(environ)
	slices.Sort(variables)
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		path, ours := strings.CutPrefix(name, EnvPrefix)
		if !ours {
			continue
		}
		at := root
		parts := strings.Split(strings.ToLower(path), "__")
		for _, part := range parts[:len(parts)-1] {
			at = at.descend(part, name)
		}
		at.entries = append(at.entries, entry{name: parts[len(parts)-1], place: name, value: fromVariable(value)})
	}
	return root
}

// descend gives the section of that name, new or known.
func (s *section) descend(name, place string) *section {
	for _, e := range s.entries {
		if below, ok := e.value.(*section); ok && e.name == name {
			return below
		}
	}
	below := &section{}
	s.entries = append(s.entries, entry{name: name, place: place, value: below})
	return below
}

// fromVariable is the value of a variable: a text, or a list or section in the short form of YAML.
func fromVariable(text string) any {
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		if root, fault := parse("", []byte("v: "+text)); fault == nil && len(root.entries) == 1 {
			return root.entries[0].value
		}
	}
	return scalar{text: text}
}

// lookup gives a variable.
func lookup(environ []string, name string) string {
	for _, variable := range environ {
		if n, value, _ := strings.Cut(variable, "="); n == name {
			return value
		}
	}
	return ""
}

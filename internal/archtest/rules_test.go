package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// source is one Go file and what it imports. Package and file are paths in the module.
type source struct {
	file    string
	pkg     string
	test    bool
	imports []string
}

// level is the line of the table that a package stands on.
func level(pkg string) (int, bool) {
	for i, names := range layers {
		for _, name := range names {
			if tree, ok := strings.CutSuffix(name, "/..."); name == pkg || ok && strings.HasPrefix(pkg+"/", tree+"/") {
				return i, true
			}
		}
	}
	return 0, false
}

// faults names each import of the file that breaks a rule, with the rule.
func faults(s source) []string {
	own, ok := level(s.pkg)
	if !ok {
		return []string{fmt.Sprintf("%s: package %s has no level: give it one in internal/archtest/layers_test.go", s.file, s.pkg)}
	}
	var found []string
	for _, path := range s.imports {
		var rule string
		if pkg, inModule := inModule(path); inModule {
			rule = brokenInside(s, own, pkg)
		} else {
			rule = brokenOutside(s, path)
		}
		if rule != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", s.file, path, rule))
		}
	}
	return found
}

func inModule(path string) (pkg string, ok bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// brokenInside returns the rule that an import within the module breaks, or "".
func brokenInside(s source, own int, pkg string) string {
	other, ok := level(pkg)
	switch {
	case !ok:
		return "that package has no level in internal/archtest/layers_test.go"
	case s.test:
		// A test may use the suites, its neighbours, and a store to run on, wherever they stand.
		return ""
	case other == own && !isUser(s.pkg):
		return "imports never go sideways (both stand on the same level)"
	case other > own:
		return "imports go strictly down the levels, and this goes up"
	}
	if allowed, limited := onlyFor[pkg]; limited && !isUser(s.pkg) && !slices.Contains(allowed, s.pkg) {
		if len(allowed) == 0 {
			return "only tests may import it"
		}
		return "only these may import it: " + strings.Join(allowed, ", ")
	}
	return ""
}

// brokenOutside returns the rule that an import from outside of the module breaks, or "".
func brokenOutside(s source, path string) string {
	if slices.Contains(denied[s.pkg], path) && !s.test {
		return "this package works through the store's port"
	}
	if isStandard(path) || isUser(s.pkg) {
		return ""
	}
	for _, client := range append(anyClient(s), clients[s.pkg]...) {
		if path == client || strings.HasPrefix(path, client+"/") {
			return ""
		}
	}
	if allowed := clients[s.pkg]; len(allowed) > 0 {
		return "this package imports the standard library, this module, and of others: " + strings.Join(allowed, ", ")
	}
	return "this package imports the standard library and this module only"
}

// isUser: the last line of the table uses the module as anybody would.
func isUser(pkg string) bool {
	line, ok := level(pkg)
	return ok && line == len(layers)-1
}

// anyClient: tests may have clients of their own; those of what stands above the drivers look into a store, or damage it, with its driver's client.
func anyClient(s source) []string {
	own, _ := level(s.pkg)
	if !s.test {
		return nil
	}
	if engine, _ := level("."); own < engine {
		return testClients[s.pkg]
	}
	return slices.Concat(append(slices.Collect(maps.Values(clients)), testClients[s.pkg])...)
}

// isStandard: only paths of the standard library have no dot in their first element.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	code = regexp.MustCompile("`[^`]+`")
	name = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)`)
)

func TestEveryNameOfOursThatTheWordsMentionIsThere(t *testing.T) {
	exported := exportedNames(t)
	for _, p := range pages(t) {
		for _, span := range code.FindAllString(p.text, -1) {
			for _, match := range name.FindAllStringSubmatch(span, -1) {
				if names, ours := exported[match[1]]; ours && !names[match[2]] {
					t.Errorf("%s: package %s has no %s (in %s)", p.path, match[1], match[2], span)
				}
			}
		}
	}
}

// exportedNames gives what each package of the module exports: functions, types, constants, variables, and methods.
func exportedNames(t *testing.T) map[string]map[string]bool {
	t.Helper()
	found := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (name == "testdata" || name == "integration" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		names := found[file.Name.Name]
		if names == nil {
			names = map[string]bool{}
			found[file.Name.Name] = names
		}
		for _, decl := range file.Decls {
			for _, name := range declared(decl) {
				names[name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func declared(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		names = append(names, d.Name.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

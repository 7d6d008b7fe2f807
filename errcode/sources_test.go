package errcode_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEachExportedErrorHasACode parses the module: each sentinel ErrX is made by errcode or is another's, and each type
// XError says its code. A new error without one fails here: give it one of codes.go, and a new code a page.
func TestEachExportedErrorHasACode(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			return nil
		}
		if skip(name, entry.Name()) {
			return fs.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil {
			return err
		}
		found := map[string]string{}   // type → where
		methods := map[string][]bool{} // type → whether Error and ErrorCode are there
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				return err
			}
			for _, d := range parsed.Decls {
				switch d := d.(type) {
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						switch spec := spec.(type) {
						case *ast.ValueSpec:
							for i, n := range spec.Names {
								if d.Tok != token.VAR || !strings.HasPrefix(n.Name, "Err") || i >= len(spec.Values) {
									continue
								}
								checked++
								if !coded(spec.Values[i]) {
									t.Errorf("%s: %s has no code: make it with errcode.New", file, n.Name)
								}
							}
						case *ast.TypeSpec:
							if spec.Name.IsExported() && strings.HasSuffix(spec.Name.Name, "Error") && !spec.Assign.IsValid() {
								found[spec.Name.Name] = file
							}
						}
					}
				case *ast.FuncDecl:
					if d.Recv == nil || d.Name.Name != "Error" && d.Name.Name != "ErrorCode" {
						continue
					}
					name := receiver(d.Recv.List[0].Type)
					if methods[name] == nil {
						methods[name] = make([]bool, 2)
					}
					methods[name][len(d.Name.Name)/len("ErrorCode")] = true
				}
			}
		}
		for name, file := range found {
			if m := methods[name]; m != nil && m[0] {
				checked++
				if !m[1] {
					t.Errorf("%s: %s has no code: give it a method ErrorCode", file, name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 80 {
		t.Errorf("found only %d errors: this test sees nothing", checked)
	}
}

func skip(path, name string) bool {
	if path == ".." {
		return false
	}
	if name[0] == '.' || name == "testdata" || name == "examples" || name == "scripts" {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// coded reports whether a sentinel is made by this package, or is that of another package by another name.
func coded(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.SelectorExpr:
		return true
	case *ast.CallExpr:
		f, ok := v.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := f.X.(*ast.Ident)
		return ok && pkg.Name == "errcode"
	}
	return false
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

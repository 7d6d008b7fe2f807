package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// sources parses the imports of every Go file of the module, whatever its build constraints, nested modules aside.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(name, entry)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		s := source{file: file, pkg: path.Dir(file), test: strings.HasSuffix(file, "_test.go")}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		found = append(found, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// skip leaves out what the go command leaves out of ./...
func skip(name string, entry fs.DirEntry) error {
	if name == root {
		return nil
	}
	if first := entry.Name()[0]; first == '.' || first == '_' || entry.Name() == "testdata" || entry.Name() == "vendor" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func TestLayering(t *testing.T) {
	files := sources(t)
	if len(files) < 50 {
		t.Fatalf("found only %d Go files from %s: the walk is broken", len(files), root)
	}
	exists := map[string]bool{}
	for _, s := range files {
		exists[s.pkg] = true
		for _, fault := range faults(s) {
			t.Error(fault)
		}
	}
	for _, pkg := range slices.Concat(layers...) {
		if !strings.HasSuffix(pkg, "/...") && !exists[pkg] {
			t.Errorf("internal/archtest/layers_test.go gives a level to %s, which is not there", pkg)
		}
	}
}

// TestLayeringCatches proves the test above on imports that must not be, and on those that look alike and may.
func TestLayeringCatches(t *testing.T) {
	const pgx = "github.com/jackc/pgx/v5"
	for _, c := range []struct {
		name    string
		file    string
		imports string
		want    string // a part of the message; "" = allowed
	}{
		{"up", "store/append.go", module + "/command", "strictly down"},
		{"up to the root", "aggregate/root.go", module, "strictly down"},
		{"sideways", "command/bus.go", module + "/aggregate", "never go sideways"},
		{"a feature on a driver of its level", "aggregate/load.go", module + "/store/memstore", "never go sideways"},
		{"the engine on a durable driver", "engine.go", module + "/store/pgstore", "only these may import it: drivers"},
		{"a face on a driver", "cli/run.go", module + "/store/sqlitestore", "only these may import it"},
		{"a face on SQL", "cli/run.go", "database/sql", "store's port"},
		{"the engine on the tool's library", "engine.go", "github.com/spf13/cobra", "standard library and this module only"},
		{"a suite outside of tests", "drivers/all.go", module + "/store/storetest", "only tests may import it"},
		{"a library in the core", "event/id.go", "github.com/google/uuid", "standard library and this module only"},
		{"a library in a test of the core", "event/id_test.go", "github.com/google/uuid", "standard library and this module only"},
		{"a client in a test of the core", "store/store_test.go", pgx, "standard library and this module only"},
		{"another driver's client", "store/sqlitestore/conn.go", pgx + "/pgxpool", "and of others: "},
		{"a client of a like name", "store/pgstore/conn.go", pgx + "extra", "and of others: "},
		{"a package without a level", "helpers/strings.go", "strings", "has no level"},
		{"an import of a package without a level", "store/append.go", module + "/helpers", "has no level"},

		{"down", "store/append.go", module + "/event", ""},
		{"the engine on its default store", "engine.go", module + "/store/memstore", ""},
		{"a driver on its client", "store/pgstore/conn.go", pgx + "/pgxpool", ""},
		{"the tool on the list of drivers", "cmd/lexevents/main.go", module + "/drivers", ""},
		{"the list of drivers on a driver", "drivers/all.go", module + "/store/pgstore", ""},
		{"a test on a suite", "store/pgstore/suite_test.go", module + "/store/storetest", ""},
		{"a test on a store of its level", "aggregate/load_test.go", module + "/store/memstore", ""},
		{"an example on a driver", "examples/packages/main.go", module + "/drivers", ""},
		{"an example on its own parts", "examples/packages/main.go", module + "/examples/packages/dpkg", ""},
		{"a test of the tool on a client", "cli/verify_test.go", pgx, ""},
		{"a test of the outbox on a driver of its user", "outbox/table_test.go", "modernc.org/sqlite", ""},
		{"the outbox on a driver of its user", "outbox/table.go", "modernc.org/sqlite", "standard library and this module only"},
		{"the standard library", "event/id.go", "crypto/rand", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := faults(source{
				file: c.file, pkg: path.Dir(c.file), test: strings.HasSuffix(c.file, "_test.go"), imports: []string{c.imports},
			})
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("refused: %s", found[0])
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want) || !strings.Contains(found[0], c.file)):
				t.Errorf("%s imports %s: want one fault that names the file and says %q, got %q", c.file, c.imports, c.want, found)
			}
		})
	}
}

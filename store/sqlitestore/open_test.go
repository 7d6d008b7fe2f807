package sqlitestore

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/store"
)

// execute runs SQL in a file, through a connection of its own.
func execute(t *testing.T, path, script string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sqlitex.ExecuteScript(c, script, nil), c.Close()); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		kind error
		says string
	}{
		"a file that is not a database": {
			func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("not a database\n"), 500)) },
			store.ErrIncompatible, "not a SQLite database",
		},
		"a short file that is not a database": {
			func(t *testing.T, path string) { write(t, path, []byte("hello")) },
			store.ErrIncompatible, "not a SQLite database",
		},
		"a database of another program": {
			func(t *testing.T, path string) { execute(t, path, `create table users (name text);`) },
			store.ErrIncompatible, "another program",
		},
		"a database with another application id": {
			func(t *testing.T, path string) { execute(t, path, `pragma application_id = 7;`) },
			store.ErrIncompatible, "another program",
		},
		"a store of a newer version": {
			func(t *testing.T, path string) {
				makeStore(t, path)
				execute(t, path, `pragma user_version = 99;`)
			},
			store.ErrIncompatible, "newer release",
		},
		"a damaged store": {
			func(t *testing.T, path string) {
				makeStore(t, path)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for i := 100; i < len(content); i++ {
					content[i] = 0xa5
				}
				write(t, path, content)
			},
			store.ErrCorrupt, "damaged",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			c.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range []Options{{}, {AutoMigrate: true}, {ReadOnly: true}} {
				_, err := Open(t.Context(), path, o)
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
					t.Errorf("%+v: got %v, want %v that says %q and names the file", o, err, c.kind, c.says)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

func makeStore(t *testing.T, path string) {
	t.Helper()
	b, err := Open(t.Context(), path, Options{AutoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSaysHowToCreateAMissingStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "events.db")
	for _, o := range []Options{{}, {ReadOnly: true}} {
		_, err := Open(t.Context(), path, o)
		if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "lexevents migrate up --store sqlite:") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder was created")
	}
}

func TestOpenRefusesOtherPaths(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), nil)
	for path, kind := range map[string]error{
		"": store.ErrInvalid, ":memory:": store.ErrInvalid, dir: store.ErrIncompatible,
		filepath.Join(dir, "file", "events.db"): store.ErrUnavailable,
	} {
		if _, err := Open(t.Context(), path, Options{AutoMigrate: true}); !errors.Is(err, kind) {
			t.Errorf("%q: got %v, want %v", path, err, kind)
		}
	}
	_, err := Open(t.Context(), filepath.Join(dir, "file"), Options{})
	if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "no tables yet") {
		t.Errorf("an empty file: got %v", err)
	}
	_, err = Open(t.Context(), filepath.Join(dir, "x"), Options{Readers: -1, BusyTimeout: -1, Synchronous: 9, AutoMigrate: true, ReadOnly: true})
	for _, fault := range []string{"readers", "busy timeout", "synchronous", "exclude each other"} {
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), fault) {
			t.Errorf("got %v, want all faults, also of %s", err, fault)
		}
	}
}

// A process that may not write says so. It runs as another user, since nothing keeps root from writing.
func TestOpenWithoutPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	dir := t.TempDir()
	for _, reachable := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(reachable, 0o755); err != nil { //nolint:gosec // another user must get there
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "program")
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o755); err != nil { //nolint:gosec // to be run by another user
		t.Fatal(err)
	}
	path := filepath.Join(dir, "events.db")
	makeStore(t, path)
	for name, c := range map[string]struct{ path, mode, says string }{
		"a read-only file":     {path, "", store.ErrReadOnly.Error()},
		"an unwritable folder": {filepath.Join(dir, "other.db"), "create", store.ErrReadOnly.Error()},
		"no folder, no right":  {filepath.Join(dir, "sub", "other.db"), "create", store.ErrReadOnly.Error()},
	} {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), childTask+"=open", childPath+"="+c.path, childName+"="+c.mode)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EACCES) {
			t.Skipf("the other user cannot reach %s", dir)
		}
		if err == nil || !strings.Contains(string(out), c.says) || !strings.Contains(string(out), c.path) {
			t.Errorf("%s: got %s (%v), want %q", name, out, err, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "other.db")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was left")
	}
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	w := openTest(t, path, Options{})
	appendOne(t, w, "a-1")
	b := openTest(t, path, Options{ReadOnly: true})
	appendOne(t, w, "a-1")
	if versions := checkLog(t, b); versions["a-1"] != 2 {
		t.Errorf("got %v", versions)
	}
	_, appendErr := b.Append(t.Context(), commitOf("a-1"))
	_, applyErr := b.Apply(t.Context(), []store.Op{store.Put("b", "k", nil)})
	_, deleteErr := b.Delete(t.Context(), "a-1", store.Any())
	_, truncateErr := b.Truncate(t.Context(), "a-1", 2)
	_, migrateErr := b.Migrate(t.Context())
	for i, err := range []error{appendErr, applyErr, deleteErr, truncateErr, migrateErr, b.Transact(t.Context(), nil)} {
		if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("call %d: got %v, want ErrReadOnly", i, err)
		}
	}
}

func TestMigrations(t *testing.T) {
	t.Run("are applied once, by whoever comes first", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.db")
		const handles = 8
		applied := make([]int, handles)
		var wg sync.WaitGroup
		for i := range handles {
			wg.Go(func() {
				b, err := Open(t.Context(), path, Options{Pending: true})
				if err != nil {
					t.Error(err)
					return
				}
				steps, err := b.Migrate(t.Context())
				if applied[i] = len(steps); err != nil {
					t.Error(err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		sum := 0
		for _, n := range applied {
			sum += n
		}
		if sum != len(migrations()) {
			t.Errorf("%d migrations were applied, want %d", sum, len(migrations()))
		}
		appendOne(t, openTest(t, path, Options{}), "a-1")
	})
	t.Run("of each released version lead to the newest", func(t *testing.T) {
		for version := range len(migrations()) {
			path := filepath.Join(t.TempDir(), "events.db")
			for _, step := range migrations()[:version] {
				c, err := openConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := step.apply(c); err != nil {
					t.Fatal(err)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if version > 0 {
				_, err := Open(t.Context(), path, Options{})
				if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "lexevents migrate up --store sqlite:"+path) {
					t.Errorf("version %d: got %v", version, err)
				}
			}
			b, err := Open(t.Context(), path, Options{Pending: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Head(t.Context()); !errors.Is(err, store.ErrIncompatible) {
				t.Errorf("Head of a store opened for migrations: %v", err)
			}
			list, err := b.Migrations(t.Context())
			if err != nil || len(list) != len(migrations()) {
				t.Fatalf("got %v, %v", list, err)
			}
			for i, m := range list {
				if m.Applied != (i < version) || m.Number != i+1 || m.Name == "" {
					t.Errorf("version %d: got %+v", version, m)
				}
			}
			if _, err := os.Stat(path); version == 0 && !errors.Is(err, os.ErrNotExist) {
				t.Error("looking at the migrations created the file")
			}
			applied, err := b.Migrate(t.Context())
			if err != nil || len(applied) != len(migrations())-version {
				t.Errorf("version %d: applied %v, %v", version, applied, err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			appendOne(t, openTest(t, path, Options{}), "a-1")
		}
	})
}

func TestDriver(t *testing.T) {
	d := Driver()
	path := filepath.Join(t.TempDir(), "events.db")
	for url, says := range map[string]string{
		"sqlite:":                                "path is empty",
		"sqlite:" + path + "?mode=ro":            "unknown parameter \"mode\"",
		"sqlite:" + path + "?synchronous=off":    "must be full or normal",
		"sqlite:" + path + "?synchronous=%zz":    "invalid URL escape",
		"sqlite://host/events.db":                "follows the colon at once",
		"sqlite:" + path + "?synchronous=normal": "migrate up",
		"sqlite:" + path + "?busy_timeout=5":     "missing unit",
		"sqlite:" + path + "?readers=x":          "readers=x",
		"sqlite:" + path + "?cache_size=x":       "cache_size=x",
	} {
		if _, err := store.OpenURL(t.Context(), url, []store.Driver{d}, store.OpenOptions{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", url, err, says)
		}
	}
	b, err := store.OpenURL(t.Context(), "sqlite:"+path+"?synchronous=normal&busy_timeout=7s&readers=3&cache_size=-4096", []store.Driver{d}, store.OpenOptions{AutoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	description, err := b.Describe(t.Context())
	if err != nil || description.Location != path || description.Schema != len(migrations()) || !strings.Contains(description.Durability, "normal") {
		t.Errorf("got %+v, %v", description, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(path + "-*"); len(left) > 0 {
		t.Errorf("closing left %v", left)
	}
}

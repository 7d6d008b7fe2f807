package archtest

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the dependency goldens anew")

// TestDependencies compares the modules of others that a part of this module compiles with its golden, so that a
// dependency never grows unnoticed. Versions are go.mod's business.
func TestDependencies(t *testing.T) {
	for name, packages := range map[string][]string{
		"core":            core(),
		"sqlitestore":     {".", "store/sqlitestore"},
		"pgstore":         {".", "store/pgstore"},
		"mongostore":      {".", "store/mongostore"},
		"redisstore":      {".", "store/redisstore"},
		"redisbroker":     {".", "broker/redisbroker"},
		"rabbitbroker":    {".", "broker/rabbitbroker"},
		"kafkabroker":     {".", "broker/kafkabroker"},
		"natsbroker":      {".", "broker/natsbroker"},
		"natsembedded":    {".", "broker/natsbroker/embedded"},
		"watermillbroker": {".", "broker/watermillbroker"},
		"lexevents":       {"cmd/lexevents"},
	} {
		t.Run(name, func(t *testing.T) {
			modules := dependencies(t, packages)
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(strings.Join(append(modules, ""), "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			content, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(string(content))
			for _, module := range modules {
				if !slices.Contains(want, module) {
					t.Errorf("%s now compiles %s; if that is meant: go test ./internal/archtest -update", strings.Join(packages, ", "), module)
				}
			}
			for _, module := range want {
				if !slices.Contains(modules, module) {
					t.Errorf("%s no longer compiles %s: go test ./internal/archtest -update", strings.Join(packages, ", "), module)
				}
			}
		})
	}
}

// TestDriversAreSeparate: who uses the root package and one driver compiles no other driver's client.
func TestDriversAreSeparate(t *testing.T) {
	for _, driver := range []string{"store/pgstore", "store/mongostore", "store/redisstore", "store/sqlitestore", "broker/redisbroker", "broker/rabbitbroker", "broker/kafkabroker", "broker/natsbroker", "broker/watermillbroker"} {
		modules := dependencies(t, []string{".", driver})
		for other, libraries := range clients {
			for _, library := range libraries {
				if !slices.Contains(clients[driver], library) && slices.Contains(modules, library) {
					t.Errorf("root + %s compiles %s, the client of %s", driver, library, other)
				}
			}
		}
		for _, library := range clients[driver] {
			if !slices.Contains(modules, library) {
				t.Errorf("root + %s does not compile its own client %s: this test sees nothing", driver, library)
			}
		}
	}
}

// core is everything from the bottom up to the Engine that is not a driver.
func core() []string {
	var packages []string
	for _, names := range layers {
		for _, name := range names {
			if clients[name] == nil && name != "internal/archtest" {
				packages = append(packages, name)
			}
			if name == "." {
				return packages
			}
		}
	}
	panic("the table has no root package")
}

// dependencies lists the modules of others that these packages compile, tests left out, on one fixed platform: what is
// compiled differs a little between systems.
func dependencies(t *testing.T, packages []string) []string {
	t.Helper()
	args := []string{"list", "-deps", "-f", "{{if .Module}}{{if not .Module.Main}}{{.Module.Path}}{{end}}{{end}}"}
	for _, pkg := range packages {
		args = append(args, "./"+pkg)
	}
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = root
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	output, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.Join(err, errors.New(string(bytes.TrimSpace(exit.Stderr))))
		}
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	modules := strings.Fields(string(output))
	slices.Sort(modules)
	return slices.Compact(modules)
}

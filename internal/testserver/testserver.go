// Package testserver is for tests that need a real server: it finds those that run already by the variables that
// scripts/services prints, and starts others for a test that kills them or sets them up badly. What is missing skips the
// test, but fails it where all services must be there (CI=true, or REQUIRE_SERVICES=1).
package testserver

import (
	"os"
	"os/exec"
	"testing"
)

// Required reports whether all services must be there.
func Required() bool { return os.Getenv("REQUIRE_SERVICES") == "1" || os.Getenv("CI") == "true" }

// URL gives the value of a variable, such as TEST_REDIS_URL: where the server is.
func URL(tb testing.TB, variable string) string {
	tb.Helper()
	url := os.Getenv(variable)
	switch {
	case url != "":
	case Required():
		tb.Fatalf("%s is not set, and services are required", variable)
	default:
		tb.Skipf("set %s to run this; scripts/services up starts the servers and prints the variables", variable)
	}
	return url
}

// Program makes sure that a program is installed.
func Program(tb testing.TB, name string) {
	tb.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if Required() {
		tb.Fatalf("there is no program %s, and services are required", name)
	}
	tb.Skipf("install %s to run this", name)
}

// Package testneed decides what becomes of a test whose dependency is missing.
// On a developer's machine it is skipped, with a hint. Where the environment
// variable LANDFALL_TEST_REQUIRE names the dependency, as in CI, it fails: a
// test that is always skipped proves nothing.
package testneed

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// requireEnv lists the dependencies that must be there, separated by commas.
const requireEnv = "LANDFALL_TEST_REQUIRE"

// Need ends a test whose dependency name is missing; hint says how to get it.
// It does not look for the dependency: the caller found it missing.
func Need(t testing.TB, name, hint string) {
	t.Helper()
	if required(name) {
		t.Fatalf("%s is missing and %s names it: %s", name, requireEnv, hint)
	} else {
		t.Skipf("%s is missing: %s", name, hint)
	}
}

// Root ends a test that does not run as root, which it needs for network
// namespaces, nftables and the like. Its name in LANDFALL_TEST_REQUIRE is root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Need(t, "root", "run the test as root")
	}
}

// Binary returns the path of a program on PATH, or ends the test without it.
func Binary(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Need(t, name, "run make test-deps, or install it by hand")
	}
	return path
}

func required(name string) bool {
	names := strings.Split(os.Getenv(requireEnv), ",")
	return slices.ContainsFunc(names, func(n string) bool { return strings.TrimSpace(n) == name })
}

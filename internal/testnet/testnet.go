// Package testnet gives a test what it needs of a network: ports that nobody else
// has, servers, and a network of its own with addresses that are not loopback and
// no way out. It is imported by tests only.
package testnet

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testneed"
)

// insideKey tells the test that it runs inside its network.
const insideKey = "LANDFALL_TEST_NETWORK"

// Inside reports whether the test runs in a network namespace of its own, whose
// loopback interface has the addresses (as "198.51.100.1/32"). Outside, it makes
// the namespace, runs the same test again in there, passes on what it says, and
// the caller returns:
//
//	if !testnet.Inside(t, "198.51.100.1/32") {
//		return
//	}
func Inside(t testing.TB, addresses ...string) bool {
	t.Helper()
	if os.Getenv(insideKey) == t.Name() {
		return true
	}
	testneed.Root(t)
	ip := testneed.Binary(t, "ip")
	name := fmt.Sprintf("lf-test-%d", os.Getpid())
	run(t, ip, "netns", "add", name)
	t.Cleanup(func() {
		// t.Context() is done by now.
		if out, err := exec.CommandContext(context.Background(), ip, "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("delete network namespace: %v: %s", err, out)
		}
	})
	run(t, ip, "-n", name, "link", "set", "lo", "up")
	for _, a := range addresses {
		run(t, ip, "-n", name, "address", "add", a, "dev", "lo")
	}
	again := []string{"netns", "exec", name, os.Args[0], "-test.count=1"}
	if _, bench := t.(*testing.B); bench {
		again = append(again, "-test.run=^$", "-test.bench=^"+t.Name()+"$", "-test.benchtime="+flag.Lookup("test.benchtime").Value.String())
	} else {
		again = append(again, "-test.run=^"+t.Name()+"$")
	}
	if testing.Verbose() {
		again = append(again, "-test.v")
	}
	cmd := exec.CommandContext(t.Context(), ip, again...)
	cmd.Env = append(os.Environ(), insideKey+"="+t.Name())
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	switch {
	case err != nil:
		t.Errorf("inside the network namespace: %v\n%s", err, text)
	case strings.Contains(text, "no tests to run"):
		t.Errorf("inside the network namespace nothing ran:\n%s", text)
	default:
		t.Log(text)
	}
	return false
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

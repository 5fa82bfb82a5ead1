// Package testwait waits in a test for what must come and has no event of its own,
// such as an answer from another process. It is imported by tests only. Nothing is
// proved by how long it takes.
package testwait

import (
	"testing"
	"time"
)

// Patience is when a test gives up, far beyond what anything takes.
const Patience = 60 * time.Second

// Until asks until ok says yes. what names what is awaited, for the error.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	UntilSeen(t, what, func() (bool, string) { return ok(), "" })
}

// UntilSeen is Until with an ok that also says what it saw, for the error.
func UntilSeen(t testing.TB, what string, ok func() (done bool, seen string)) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		done, seen := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			if seen != "" {
				seen = "; last seen: " + seen
			}
			t.Fatalf("%s: not within %s%s", what, Patience, seen)
		}
	}
}

package app

import (
	"context"
	"os"
	"runtime/debug"
)

// frugalPercent is by how much the heap may grow between two collections once
// everything is served. A start makes much that is thrown away, and is quicker with
// Go's 100; after it a change makes little, and what is not used is others'.
const frugalPercent = 40

// frugal waits for the end of the start, and then gives back to the system what
// only the start needed. An operator's GOGC stays.
func frugal(ctx context.Context, started <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-started:
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(frugalPercent)
	}
	debug.FreeOSMemory()
}

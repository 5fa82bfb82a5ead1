// Package enginetest is the suite that every engine passes, and an engine in
// memory. It is for tests only.
//
// An engine's own package calls Run with a Harness over the real thing:
//
//	func TestContract(t *testing.T) {
//		enginetest.Run(t, func(t *testing.T) enginetest.Harness { ... })
//	}
//
// The suite knows states, not requests: that an engine serves what it says is
// shown by that engine's own traffic tests.
package enginetest

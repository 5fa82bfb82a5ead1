package haproxy

import "flag"

var update = flag.Bool("update", false, "rewrite the expected part of testdata")

// Update is for the tests outside of the package.
func Update() bool { return *update }

// RereadExtras is what Run does every two seconds.
func (e *Engine) RereadExtras() bool { return e.rereadExtras() }

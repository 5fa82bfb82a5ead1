package haproxy

import "context"

// RereadExtras is what Run does every two seconds.
func (e *Engine) RereadExtras() bool { return e.rereadExtras() }

// Bury is what Run does twice a second.
func (e *Engine) Bury() { e.bury(context.Background()) }

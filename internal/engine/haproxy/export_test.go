package haproxy

// RereadExtras is what Run does every two seconds.
func (e *Engine) RereadExtras() bool { return e.rereadExtras() }

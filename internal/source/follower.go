package source

// Follower is a Source that wants to know when what it asked for is served.
type Follower interface {
	// Turned is called when what Read returned last has been applied, and after the
	// Report about it. It must be quick.
	Turned()
}

// Turned tells every source that wants to know that what it asked for is served.
func (s *Set) Turned() {
	for _, e := range s.entries {
		if f, ok := e.source.(Follower); ok {
			f.Turned()
		}
	}
}

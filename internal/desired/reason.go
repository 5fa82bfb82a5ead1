package desired

// reason is what became of a claim.
type reason uint8

const (
	served     reason = iota
	sharedPort        // served, though something else holds the port as well
	noVIP
	aside
	held
	reserved
	portLost   // another listener has the port
	routeLost  // another route has the host and path
	listenerNo // the route's listener is not served
	noListener // nobody asked for the route's listener
	twice      // another object of the same name is served
	off        // HTTP is turned off
	offTLS     // TLS is
)

// open reports whether clients are answered.
func (r reason) open() bool { return r == served || r == sharedPort }

// finding is the reason of a finding.
func (r reason) finding() string {
	if r == sharedPort {
		return "PortShared"
	}
	return r.word()
}

// word is the error of a port, "" when it is served.
func (r reason) word() string {
	switch r {
	case served, sharedPort:
		return ""
	case noVIP:
		return "UnknownVIP"
	case aside:
		return "Refused"
	case held, reserved:
		return "PortHeld"
	case portLost:
		return "PortConflict"
	case routeLost:
		return "RouteConflict"
	case listenerNo:
		return "ListenerNotServed"
	case noListener:
		return "UnknownListener"
	case twice:
		return "DuplicateName"
	case off:
		return "HTTPOff"
	case offTLS:
		return "HTTPSOff"
	}
	return "NotServed"
}

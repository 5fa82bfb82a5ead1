// Package plan compares what is served with what should be, object by object.
// It is pure.
package plan

import (
	"github.com/landfall-edge/landfall/internal/model"
)

// Verb is what happens to an object.
type Verb string

// The verbs.
const (
	Add    Verb = "add"
	Change Verb = "change"
	Remove Verb = "remove"
)

// Plan is what differs between two states. Each slice is sorted by name; an
// object that is the same pointer in both states costs one comparison.
type Plan struct {
	Listeners []Step[model.Listener] `json:"listeners,omitempty"`
	Routes    []Step[model.Route]    `json:"routes,omitempty"`
	Backends  []Step[model.Backend]  `json:"backends,omitempty"`
	Probes    []Step[model.Probe]    `json:"probes,omitempty"`
}

// Step is the difference in one object: Have is nil when it is added, Want when
// it is removed.
type Step[T any] struct {
	Verb Verb `json:"verb"`
	Have *T   `json:"have,omitempty"`
	Want *T   `json:"want,omitempty"`
}

// Empty reports whether nothing differs.
func (p Plan) Empty() bool {
	return len(p.Listeners)+len(p.Routes)+len(p.Backends)+len(p.Probes) == 0
}

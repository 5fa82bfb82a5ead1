package object

import (
	"fmt"

	"github.com/landfall-edge/landfall/internal/model"
)

// mostFindings is how many findings one object can have: enough to mend it, too
// few to flood a status page.
const mostFindings = 100

// Findings collects what is wrong with one object. A nil *Findings takes
// everything and keeps nothing.
type Findings struct {
	origin  model.Origin
	list    []model.Finding
	dropped int
}

// NewFindings returns an empty collection about the object.
func NewFindings(origin model.Origin) *Findings {
	return &Findings{origin: origin}
}

// Add notes one finding; accepted says what is served all the same, "" for
// nothing of it.
func (f *Findings) Add(field, reason, accepted, message string) {
	if f == nil {
		return
	}
	if len(f.list) >= mostFindings {
		f.dropped++
		return
	}
	f.list = append(f.list, model.Finding{
		Origin: f.origin, Field: field, Reason: reason, Message: message, Accepted: accepted,
	})
}

// List is what was noted, in that order.
func (f *Findings) List() []model.Finding {
	if f.dropped == 0 {
		return f.list
	}
	return append(f.list[:len(f.list):len(f.list)], model.Finding{
		Origin: f.origin, Reason: "MoreFindings",
		Message: fmt.Sprintf("%d more findings about this object are not listed; mend the ones that are", f.dropped),
	})
}

// ListUnserved is List for an object of which nothing is served, whatever a
// finding by itself had accepted.
func (f *Findings) ListUnserved() []model.Finding {
	list := f.List()
	for i := range list {
		list[i].Accepted = ""
	}
	return list
}

// AnnotationField is the field path of an annotation.
func AnnotationField(name string) string {
	return "metadata.annotations[" + Plain(name) + "]"
}

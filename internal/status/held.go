package status

import (
	"fmt"
	"strings"
	"time"
)

// Held is a removal that is held back: what a source no longer asks for, and is
// served all the same until it is approved.
type Held struct {
	Source string    `json:"source"`
	Since  time.Time `json:"since"`
	// Goes is when it goes by itself if nothing changes; zero: not as long as the
	// source is out of sync.
	Goes time.Time `json:"goes,omitzero"`
	// Routes would be gone, and Backends without endpoints, of all that are served
	// of the source. Behind is how many routes would then lead nowhere.
	Routes      int      `json:"routes"`
	AllRoutes   int      `json:"allRoutes"`
	Backends    int      `json:"backends"`
	AllBackends int      `json:"allBackends"`
	Behind      int      `json:"behind"`
	Examples    []string `json:"examples"`
}

// String says what it is about: "12 of its 20 routes: web/shop (shop.test/), ...".
func (h Held) String() string {
	var what []string
	if h.Routes > 0 {
		what = append(what, fmt.Sprintf("%d of its %s", h.Routes, Count(h.AllRoutes, "route")))
	}
	if h.Backends > 0 {
		text := fmt.Sprintf("the endpoints of %d of its %s", h.Backends, Count(h.AllBackends, "backend"))
		if h.Behind > 0 {
			text += " (behind " + Count(h.Behind, "route") + ")"
		}
		what = append(what, text)
	}
	text := strings.Join(what, " and ") + ": " + strings.Join(h.Examples, ", ")
	if more := h.Routes + h.Backends - len(h.Examples); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Approved is what `landfall approve -o json` prints.
type Approved struct {
	Approved []Held `json:"approved"`
}

// ApprovedTable is a paragraph for each source.
func ApprovedTable(a Approved, f Format) string {
	p := &page{width: f.Width, color: f.Color}
	if len(a.Approved) == 0 {
		p.line(cell{"nothing is held back", plain})
	}
	for _, h := range a.Approved {
		p.line(cell{h.Source, bold})
		p.wrap(2, cell{"let go: " + h.String(), plain})
	}
	return p.b.String()
}

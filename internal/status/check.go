package status

import (
	"strings"
	"unicode/utf8"
)

// Check is one thing that `landfall check` looked at.
type Check struct {
	// What was looked at: "haproxy", "port 80", "files web/shop".
	What string `json:"what"`
	OK   bool   `json:"ok"`
	// Message says what was found and, if it is not ok, what to do.
	Message string `json:"message"`
}

// CheckTable is a line for each check, findings wrapped behind theirs, and a
// summary.
func CheckTable(checks []Check, f Format) string {
	p := &page{width: f.Width, color: f.Color}
	findings, width := 0, 0
	for _, c := range checks {
		if n := utf8.RuneCountInString(clean(c.What)); c.OK && n <= 24 {
			width = max(width, n)
		}
	}
	for _, c := range checks {
		mark := cell{"ok       ", green}
		if !c.OK {
			mark = cell{"finding  ", yellow}
			findings++
		}
		if c.OK {
			pad := strings.Repeat(" ", max(width-utf8.RuneCountInString(clean(c.What)), 0)+2)
			p.line(mark, cell{c.What, bold}, cell{pad + c.Message, plain})
			continue
		}
		p.line(mark, cell{c.What, bold})
		p.wrap(len(mark.text), cell{c.Message, plain})
	}
	summary := cell{"nothing is wrong", green}
	if findings > 0 {
		summary = cell{Count(findings, "finding"), yellow}
	}
	p.line()
	p.line(summary)
	return p.b.String()
}

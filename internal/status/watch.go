package status

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// rowsApart is how many lines a section has at most when the height of what it is
// shown on is not known.
const rowsApart = 20

// WatchTable is a look for people: what is not well first, then what has the most to
// do. It fits Format's height. A look without an answer shows the Status that it
// was given all the same, which is the last one known.
func WatchTable(l Look, f Format) string {
	p := &page{width: f.Width, color: f.Color}
	if l.Error != "" {
		p.wrap(0, cell{l.At.Format("15:04:05") + "  the edge does not answer, and is asked again: " + l.Error, red})
	}
	if l.Status == nil {
		return p.b.String()
	}
	s, r := *l.Status, l.Rates
	if l.Error != "" {
		p.line(cell{"what it said at " + s.At.Format("15:04:05") + ":", yellow})
	}
	p.headline(s, tallies(s))
	p.traffic(s, r)
	for _, src := range s.Sources {
		if src.Stale || !src.Synced {
			p.wrap(2, cell{"source " + src.Name + " is not in step: " + src.Message, yellow})
		}
	}
	sections := []section{listenersNow(s, r), backendsNow(s, r), endpointsNow(s, r), findingsNow(s), changesNow(s)}
	sections = slices.DeleteFunc(sections, func(x section) bool { return len(x.entries) == 0 })
	lines := func() int { return strings.Count(p.b.String(), "\n") }
	for i, n := range share(sections, f.Height, lines()) {
		p.section(sections[i], n)
	}
	return p.b.String()
}

// traffic is what the edge as a whole does.
func (p *page) traffic(s Status, r *Rates) {
	clock := s.At.Format("15:04:05") + "  "
	if r == nil {
		p.line(cell{"  " + clock + "no rates yet", faint})
		return
	}
	e := r.Edge
	p.wrap(2, cell{fmt.Sprintf("%s%s req/s, %s conn/s, in %s/s, out %s/s; %s changes/min", clock, figure(e.Requests), figure(e.Connections),
		size(e.BytesIn), size(e.BytesOut), figure(e.ChangesPerMinute)), bold})
	errors := cell{fmt.Sprintf("5xx %s/s, failed connects %s/s, retries %s/s", figure(e.Errors5xx), figure(e.FailedConnects), figure(e.Retries)), faint}
	if e.Errors5xx > 0 || e.FailedConnects > 0 {
		errors.paint = red
	}
	p.wrap(2, errors)
}

// section is a part of the page of which the most important lines are shown.
type section struct {
	title   string
	labels  int      // columns before the numbers
	columns []string // over the numbers; without them nothing is a number
	entries []entry
}

// entry is what may become a line.
type entry struct {
	bad  int // how unwell it is; 0 is well
	busy float64
	open int64
	name string
	row  func() []cell
}

func (e entry) before(other entry) int {
	switch {
	case e.bad != other.bad:
		return other.bad - e.bad
	case e.busier(other) != 0:
		return e.busier(other)
	}
	return strings.Compare(e.name, other.name)
}

func (e entry) busier(other entry) int {
	switch {
	case e.busy > other.busy, e.busy == other.busy && e.open > other.open:
		return -1
	case e.busy < other.busy, e.open < other.open:
		return 1
	}
	return 0
}

// choose takes n of the entries: at most half of them for being unwell, the others
// for being busy.
func choose(entries []entry, n int) (shown []entry, unwell int) {
	slices.SortStableFunc(entries, entry.before)
	bad := 0
	for bad < len(entries) && entries[bad].bad > 0 {
		bad++
	}
	if n >= len(entries) {
		return entries, 0
	}
	first := min(bad, (n+1)/2)
	shown = slices.Clone(entries[:first])
	rest := slices.Clone(entries[first:])
	slices.SortStableFunc(rest, entry.busier)
	shown = append(shown, rest[:n-first]...)
	slices.SortStableFunc(shown, entry.before)
	for _, e := range shown {
		if e.bad > 0 {
			bad--
		}
	}
	return shown, bad
}

// around are the lines of a section besides its entries: an empty one and the title.
const around = 2

// share divides the lines that are left among sections: everybody gets the same, and
// what one does not need goes to the others. The last go without when there are
// too few.
func share(sections []section, height, used int) []int {
	out := make([]int, len(sections))
	if height <= 0 {
		for i := range out {
			out[i] = rowsApart
		}
		return out
	}
	left, count := height-used, len(sections)
	for count > 0 && left < count*(around+2) {
		count--
	}
	left -= count * around
	out = out[:count]
	for open := count; open > 0 && left > 0; {
		each, given := max(left/open, 1), 0
		open = 0
		for i := range out {
			more := min(each, len(sections[i].entries)-out[i], left-given)
			out[i] += more
			given += more
			if out[i] < len(sections[i].entries) {
				open++
			}
		}
		if given == 0 {
			break
		}
		left -= given
	}
	return out
}

// section writes n lines below the title.
func (p *page) section(s section, n int) {
	hidden, unwell := 0, 0
	shown := s.entries
	if len(s.entries) > n {
		n-- // the last line counts the others
		hidden = len(s.entries) - n
	}
	shown, unwell = choose(shown, n)
	rows := make([][]cell, 0, len(shown)+1)
	title := cell{strings.ToUpper(s.title) + " (" + strconv.Itoa(len(s.entries)) + ")", bold}
	p.b.WriteByte('\n')
	if len(s.columns) == 0 {
		p.line(title)
	} else {
		rows = append(rows, s.head(title))
	}
	for _, e := range shown {
		row := e.row()
		row[0].text = "  " + row[0].text
		rows = append(rows, row)
	}
	alignRight(rows, s.labels)
	p.table(0, rows)
	if hidden > 0 {
		text := fmt.Sprintf("  and %d more", hidden)
		if unwell > 0 {
			text += fmt.Sprintf(", %d of them not well", unwell)
		}
		p.line(cell{text, faint})
	}
}

// head is the title with the names of the columns.
func (s section) head(title cell) []cell {
	row := make([]cell, s.labels, s.labels+len(s.columns))
	row[0] = title
	for _, c := range s.columns {
		row = append(row, cell{c, faint})
	}
	return row
}

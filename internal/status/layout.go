package status

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// paint is how a cell is coloured on a terminal.
type paint string

const (
	plain  paint = ""
	bold   paint = "1"
	faint  paint = "2"
	red    paint = "31"
	green  paint = "32"
	yellow paint = "33"
)

// cell is one word of a table. Its text comes from outside and is cleaned when
// it is written: a name must not move the cursor of whoever reads it.
type cell struct {
	text  string
	paint paint
}

// page collects lines for a terminal of a width; 0 means that nothing is cut.
type page struct {
	b     strings.Builder
	width int
	color bool
}

func (p *page) put(c cell) {
	text := clean(c.text)
	if p.color && c.paint != plain && text != "" {
		fmt.Fprintf(&p.b, "\x1b[%sm%s\x1b[0m", string(c.paint), text)
		return
	}
	p.b.WriteString(text)
}

// line writes cells one after another.
func (p *page) line(cells ...cell) {
	for _, c := range cells {
		p.put(c)
	}
	p.b.WriteByte('\n')
}

// title opens a section.
func (p *page) title(text string, count int) {
	p.b.WriteByte('\n')
	p.line(cell{strings.ToUpper(text), bold}, cell{fmt.Sprintf(" (%d)", count), faint})
}

// least is how narrow a column may be made.
const least = 12

// table writes rows in columns; the widest columns give way when it is too wide.
func (p *page) table(indent int, rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(c.text)))
		}
	}
	total := indent - 2
	for _, w := range widths {
		total += w + 2
	}
	for ; p.width > 0 && total > p.width; total-- {
		widest := slices.Index(widths, slices.Max(widths))
		if widths[widest] <= least {
			break
		}
		widths[widest]--
	}
	for _, row := range rows {
		p.row(indent, widths, row)
	}
}

// alignRight moves the cells of the columns from one on to the right.
func alignRight(rows [][]cell, from int) {
	widths := map[int]int{}
	for _, row := range rows {
		for i := from; i < len(row); i++ {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(row[i].text)))
		}
	}
	for _, row := range rows {
		for i := from; i < len(row); i++ {
			row[i].text = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(clean(row[i].text))) + row[i].text
		}
	}
}

func (p *page) row(indent int, widths []int, row []cell) {
	p.b.WriteString(strings.Repeat(" ", indent))
	last := len(row) - 1
	for last > 0 && row[last].text == "" {
		last--
	}
	for i, c := range row[:last+1] {
		c.text = cut(clean(c.text), widths[i])
		p.put(c)
		if i < last {
			p.b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
		}
	}
	p.b.WriteByte('\n')
}

// wrap writes text in lines that fit, each behind indent.
func (p *page) wrap(indent int, c cell) {
	width := p.width
	if width <= 0 {
		width = 80
	}
	line := ""
	flush := func() {
		if line != "" {
			p.line(cell{strings.Repeat(" ", indent), plain}, cell{line, c.paint})
		}
	}
	for _, word := range strings.Fields(clean(c.text)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width-indent {
			flush()
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	flush()
}

// cut shortens text to width in its middle, where names differ least.
func cut(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n <= width || width < 3 {
		return text
	}
	runes := []rune(text)
	head := (width - 1) / 2
	return string(runes[:head]) + "…" + string(runes[n-(width-1-head):])
}

// longest is how many characters of one text are shown; an honest one is shorter.
const longest = 1000

// clean replaces what a terminal would obey rather than show, and cuts what
// nobody would read.
func clean(text string) string {
	if len(text) > longest {
		text = cut(strings.ToValidUTF8(text, "?"), longest)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return strings.Map(func(r rune) rune {
				switch {
				case r == '\n' || r == '\t' || r == '\r':
					return ' '
				case !unicode.IsPrint(r):
					return '?'
				}
				return r
			}, text)
		}
	}
	return text
}

// span says how long something took or is ago, in the unit a person would use.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// millis shows a duration in milliseconds with the digits that matter.
func millis(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// Count is a number with its noun: "1 route", "2 routes".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

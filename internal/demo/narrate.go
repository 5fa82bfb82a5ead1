package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/plan"
)

// mostLines is how many objects one change names; the others are counted.
const mostLines = 20

// Narrate tells what was done, a line for each object that asked for something
// else than before: "web/shop: endpoint 127.0.0.3:41233 added, live in 3 ms, no
// reload". It is pure.
func Narrate(p plan.Plan, done engine.Applied) []string {
	all := p.News()
	var lines []string
	for i, news := range all {
		if i == mostLines {
			return append(lines, fmt.Sprintf("and %d more, %s", len(all)-i, how(done)))
		}
		lines = append(lines, news.String()+", "+how(done))
	}
	return lines
}

// how is the end of each line.
func how(done engine.Applied) string {
	took := "live in " + milliseconds(done.Took)
	switch done.Way {
	case engine.Nothing:
		return "as it was served already"
	case engine.Start:
		return took + ", HAProxy started"
	case engine.Reload:
		if done.Cause == "" {
			return took + ", one reload"
		}
		return took + ", one reload (" + words(done.Cause) + ")"
	default:
		return took + ", no reload"
	}
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "less than 1 ms"
	}
	return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + " ms"
}

// words keeps somebody's text on its line, and the line readable.
func words(s string) string {
	const longest = 300
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.Quote(s)
	}
	return s
}

package agent

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/landfall-edge/landfall/internal/model"
)

// How many lines about findings the log gets: so many at once, then one each
// pause. Whoever may write objects can have findings come and go.
const (
	findingLines = 20
	findingPause = time.Second
	countPause   = 10 * time.Second // between lines that count the others
)

// findingLog tells the log of each finding once when it is new, and once when it
// is gone. One that says something else about the same place is new, and the one
// before it is not gone.
type findingLog struct {
	log     *slog.Logger
	limit   *rate.Limiter
	found   []model.Finding // those of the sources' objects, when tell was last called
	said    []model.Finding // all that there were then
	unsaid  int             // lines that were left out
	counted time.Time       // when a line said how many were left out
}

func newFindingLog(log *slog.Logger) *findingLog {
	return &findingLog{log: log, limit: rate.NewLimiter(rate.Every(findingPause), findingLines)}
}

// place is what a finding is about.
type place struct{ origin, field, reason string }

func placeOf(f *model.Finding) place { return place{f.Origin.Key(), f.Field, f.Reason} }

// tell takes all findings that there are: the engine's own, which are few, and
// those of the sources' objects, which are the same slice while none changes.
func (l *findingLog) tell(now time.Time, engine, found []model.Finding) {
	if !sameSlice(l.found, found) || !slices.Equal(l.said[:len(l.said)-len(l.found)], engine) {
		all := slices.Concat(engine, found)
		l.compare(now, all)
		l.found, l.said = found, all
	}
	if l.unsaid > 0 && !now.Before(l.counted.Add(countPause)) {
		l.log.Warn("findings came or went that have no line here; landfall status shows those that there are",
			"lines", l.unsaid, "findings", len(l.said))
		l.unsaid, l.counted = 0, now
	}
}

// sameSlice reports whether two slices are one in memory.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func (l *findingLog) compare(now time.Time, findings []model.Finding) {
	before := make(map[model.Finding]bool, len(l.said))
	for _, f := range l.said {
		before[f] = true
	}
	places := make(map[place]bool, len(findings))
	for i := range findings {
		f := &findings[i]
		places[placeOf(f)] = true
		if !before[*f] {
			l.say(now, f, false)
		}
	}
	for i := range l.said {
		if f := &l.said[i]; !places[placeOf(f)] {
			places[placeOf(f)] = true // several of one place go together
			l.say(now, f, true)
		}
	}
}

// say writes a line if there is room for it.
func (l *findingLog) say(now time.Time, f *model.Finding, gone bool) {
	if !l.limit.AllowN(now, 1) {
		l.unsaid++
		return
	}
	log := l.log.With("source", f.Origin.Source, "origin", strings.TrimSpace(f.Origin.Kind+" "+f.Origin.String()),
		"field", f.Field, "reason", f.Reason)
	if gone {
		log.Info("finding gone")
		return
	}
	log.Warn("finding", "text", f.Message, "accepted", f.Accepted)
}

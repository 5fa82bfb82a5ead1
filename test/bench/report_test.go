package bench_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/landfall-edge/landfall/internal/atomicfile"
)

// result is one line of the table.
type result struct {
	Family   string `json:"family"` // the row of rows() that measured it
	What     string `json:"what"`
	Services int    `json:"services"`
	Measured string `json:"measured"`
	Goal     string `json:"goal,omitempty"`
	Met      *bool  `json:"met,omitempty"` // absent: there is no goal
	Day      string `json:"day"`
	Commit   string `json:"commit"`
	Machine  string `json:"machine"`
}

// recorder prints what is measured, and keeps it in a folder: what is not measured
// this time stays as it was.
type recorder struct {
	out     io.Writer
	docs    string
	commit  string
	began   time.Time
	haproxy string
	row     string // that is measured now

	mu      sync.Mutex
	results []result
}

func newRecorder(out io.Writer, docs, commit string) *recorder {
	return &recorder{out: out, docs: docs, commit: commit, began: time.Now()}
}

// say tells how far it is.
func (r *recorder) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "%6.0f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// machine notes which HAProxy it is.
func (r *recorder) machine(version string) {
	r.haproxy, _, _ = strings.Cut(version, "\n")
	if f := strings.Fields(r.haproxy); len(f) > 2 {
		r.haproxy = "HAProxy " + f[2]
	}
}

// record takes a result with a goal.
func (r *recorder) record(services int, what, measured, goal string, met bool) {
	r.add(result{What: what, Services: services, Measured: measured, Goal: goal, Met: &met})
}

// note takes a result without a goal.
func (r *recorder) note(services int, what, measured string) {
	r.add(result{What: what, Services: services, Measured: measured})
}

func (r *recorder) add(x result) {
	x.Family, x.Commit, x.Day = r.row, r.commit, r.began.UTC().Format(time.DateOnly)
	x.Machine = fmt.Sprintf("%d cores, %s", runtime.NumCPU(), r.haproxy)
	r.mu.Lock()
	r.results = append(r.results, x)
	r.mu.Unlock()
	r.say("  %s: %s %s", x.What, x.Measured, x.verdict())
}

func (x result) verdict() string {
	switch {
	case x.Met == nil:
		return ""
	case *x.Met:
		return "yes"
	}
	return "NO"
}

const layout = "%-29s %6s  %-27s %-10s %s"

func (x result) line() string {
	return strings.TrimRight(fmt.Sprintf(layout, x.What, thousands(x.Services), x.Measured, x.Goal, x.verdict()), " ")
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

// close prints the table and writes the page.
func (r *recorder) close() error {
	fmt.Fprintf(r.out, "\n"+layout+"\n", "times are p50 / p99 / max", "Svcs", "measured", "goal", "met")
	for _, x := range r.results {
		fmt.Fprintln(r.out, x.line())
	}
	if r.docs == "" || len(r.results) == 0 {
		return nil
	}
	kept, err := r.keep()
	if err != nil {
		return err
	}
	page, err := render(kept)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(r.docs, "benchmarks.md"), page, 0o644)
}

// keep writes the results beside those of earlier runs and returns all.
func (r *recorder) keep() ([]result, error) {
	file := filepath.Join(r.docs, "benchmarks.json")
	var kept []result
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read earlier results: %w; mend or delete %s", err, file)
	}
	kept = slices.DeleteFunc(kept, func(old result) bool {
		return slices.ContainsFunc(r.results, func(x result) bool { return x.Family == old.Family && x.Services == old.Services })
	})
	kept = append(kept, r.results...)
	order := map[string]int{}
	for i, row := range rows() {
		order[row.name] = i
	}
	slices.SortStableFunc(kept, func(a, b result) int {
		if d := order[a.Family] - order[b.Family]; d != 0 {
			return d
		}
		return a.Services - b.Services
	})
	text, err = json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return nil, err
	}
	return kept, atomicfile.Write(file, append(text, '\n'), 0o644)
}

//go:embed page.md
var page string

func render(all []result) ([]byte, error) {
	t, err := template.New("page.md").Funcs(template.FuncMap{"thousands": thousands}).Parse(page)
	if err != nil {
		return nil, err
	}
	sizes, lines := matrix(all)
	var b strings.Builder
	err = t.Execute(&b, map[string]any{"Sizes": sizes, "Lines": lines, "Runs": runs(all), "Rows": rowNames()})
	return []byte(b.String()), err
}

// line is what was measured at every size.
type line struct {
	What, Goal string
	Cells      []string // by size
}

// matrix is a line for each thing and a column for each size.
func matrix(all []result) (sizes []int, lines []*line) {
	for _, x := range all {
		sizes = append(sizes, x.Services)
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	of := map[string]*line{}
	for _, x := range all {
		l := of[x.What]
		if l == nil {
			l = &line{What: x.What, Goal: x.Goal, Cells: make([]string, len(sizes))}
			of[x.What] = l
			lines = append(lines, l)
		}
		cell := x.Measured
		if x.Met != nil && !*x.Met {
			cell = "**" + cell + "**"
		}
		l.Cells[slices.Index(sizes, x.Services)] = cell
	}
	return sizes, lines
}

// runs says of each day, commit and machine which rows are from there.
func runs(all []result) []string {
	var order []string
	of := map[string][]string{}
	for _, x := range all {
		key := fmt.Sprintf("%s, commit %s, %s", x.Day, x.Commit, x.Machine)
		if of[key] == nil {
			order = append(order, key)
		}
		what := fmt.Sprintf("%s at %s", x.Family, thousands(x.Services))
		if !slices.Contains(of[key], what) {
			of[key] = append(of[key], what)
		}
	}
	for i, key := range order {
		order[i] = key + ": " + strings.Join(of[key], ", ")
	}
	return order
}

// spread is p50, p99 and max of what was measured.
type spread struct{ p50, p99, max time.Duration }

func spreadOf(took []time.Duration) spread {
	if len(took) == 0 {
		return spread{}
	}
	took = slices.Sorted(slices.Values(took))
	return spread{took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

func (s spread) String() string {
	unit, name, digits := time.Millisecond, "ms", 2
	switch {
	case s.max >= 10*time.Second:
		unit, name = time.Second, "s"
	case s.max >= 100*time.Millisecond:
		digits = 1
	}
	f := func(d time.Duration) string { return fmt.Sprintf("%.*f", digits, float64(d)/float64(unit)) }
	return fmt.Sprintf("%s / %s / %s %s", f(s.p50), f(s.p99), f(s.max), name)
}

// Package bench measures an edge from outside: a real kube-apiserver with many
// Services, the program itself as a process of its own, HAProxy, and a client that
// asks. It prints what it found beside what is to be reached, and writes
// docs/benchmarks.md. Nothing here fails for being slow.
//
// "make bench" runs it; a short run of every row in "make test" shows that it works.
package bench_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
)

var (
	measure  = flag.Bool("measure", false, "measure, in a network of its own")
	rowsFlag = flag.String("rows", "", "the rows to measure, separated by commas; default: all but memory")
	sizes    = flag.String("services", "100,1000,10000", "how many Services there are, one after the other")
	churnFor = flag.Duration("churn", 0, "how long the memory row changes things; 0 leaves it out")
	seconds  = flag.Int("seconds", 30, "how long a row under load takes")
	samples  = flag.Int("samples", 200, "how many changes of a kind are timed")
	commit   = flag.String("commit", "", "what is measured, for the record")
	docs     = flag.String("docs", "", "the folder of benchmarks.md and benchmarks.json; none: only print")
)

// options say what is measured, and for how long.
type options struct {
	rows     []string // empty: all
	sizes    []int
	samples  int
	duration time.Duration
	churn    time.Duration
}

// row is a measurement, or several by one way. Those with an edge of their own
// run after the others, when theirs has ended.
type row struct {
	name    string
	does    string
	at      []int // sizes it is measured at unless it is asked for by name; nil: all
	ownEdge bool
	run     func(ctx context.Context, w *world, e *edge) error
}

func rows() []row {
	return []row{
		{"start", "start of the edge until everything is served, memory then", nil, false, measureStart},
		{"endpoint", "an endpoint is replaced by another; CPU for it", nil, false, measureEndpoint},
		{"ingress", "a new Ingress with its Service", nil, false, measureIngress},
		{"port", "a new Service on a port of its own", []int{1000}, false, measurePort},
		{"reloads", "reloads for 1,000 endpoint changes", []int{1000}, false, measureReloads},
		{"churn", "requests lost while endpoints and routes change", nil, false, measureChurn},
		{"stress", "100 endpoint changes per second for a minute", nil, false, measureStress},
		{"burst", "1,000 new Services at once", nil, false, measureBurst},
		{"memory", "memory over the time that CHURN says", []int{1000}, false, measureMemory},
		{"node", "a node dies", []int{100}, true, measureNode},
		{"ratio", "requests/s against a file written by hand", nil, true, measureRatio},
		{"polling", "all this by a script that polls", nil, true, measurePolling},
	}
}

func rowNames() []string {
	var names []string
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

// TestMeasure is "make bench".
func TestMeasure(t *testing.T) {
	if !*measure {
		t.Skip("this takes long: make bench")
	}
	if os.Getenv(insideKey) == "" {
		runInside(t)
		return
	}
	o, err := readOptions()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	r := newRecorder(os.Stdout, *docs, *commit)
	run(ctx, t, o, r)
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

// TestRows runs every row, each as short as can be, and looks at what it records.
func TestRows(t *testing.T) {
	if !testnet.Inside(t) {
		return
	}
	docs := t.TempDir()
	r := newRecorder(t.Output(), docs, "test")
	o := options{rows: rowNames(), sizes: []int{10}, samples: 2, duration: 300 * time.Millisecond, churn: 300 * time.Millisecond}
	run(t.Context(), t, o, r)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows() {
		if !slices.ContainsFunc(r.results, func(x result) bool { return x.Family == row.name }) {
			t.Errorf("row %s recorded nothing", row.name)
		}
	}
	page, err := os.ReadFile(docs + "/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.results {
		if !strings.Contains(string(page), x.Measured) {
			t.Errorf("the page lacks %q", x.Measured)
		}
	}
}

// insideKey tells the program that it is in its network.
const insideKey = "LANDFALL_BENCH_INSIDE"

// runInside runs the same once more, in a network namespace that goes with it.
func runInside(t *testing.T) {
	testneed.Root(t)
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideKey+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	// Ctrl-C reaches both; the inner one tidies up, and this one waits for it.
	ctx, cancel := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("measure: %v", err)
	}
}

func readOptions() (options, error) {
	o := options{samples: *samples, duration: time.Duration(*seconds) * time.Second, churn: *churnFor}
	known := rowNames()
	for name := range strings.SplitSeq(*rowsFlag, ",") {
		switch {
		case name == "":
		case !slices.Contains(known, name):
			return o, fmt.Errorf("there is no row %q; there are: %s", name, strings.Join(known, ", "))
		default:
			o.rows = append(o.rows, name)
		}
	}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 10 || n > 20_000 {
			return o, fmt.Errorf("services: %q: want numbers from 10 to 20000, for example 100,10000", text)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	if o.samples < 1 || o.duration <= 0 {
		return o, errors.New("samples and seconds must be at least 1")
	}
	return o, nil
}

// wanted reports whether a row is measured at a size.
func (o options) wanted(r row, size int) bool {
	switch {
	case len(o.rows) > 0:
		return slices.Contains(o.rows, r.name)
	case r.name == "memory" && o.churn == 0:
		return false
	}
	return r.at == nil || slices.Contains(r.at, size)
}

// run measures each row at each size, in a cluster that grows.
func run(ctx context.Context, t *testing.T, o options, r *recorder) {
	w := newWorld(t, o, r)
	for _, size := range o.sizes {
		r.say("%d Services: writing them", size)
		if err := w.grow(ctx, size); err != nil {
			t.Fatal(err)
		}
		var together []row
		for _, row := range rows() {
			if o.wanted(row, size) && !row.ownEdge {
				together = append(together, row)
			}
		}
		t.Run(fmt.Sprint(size), func(t *testing.T) { w.together(ctx, t, together) })
		for _, row := range rows() {
			if o.wanted(row, size) && row.ownEdge {
				// What it starts ends with it: only one edge can serve at a time.
				t.Run(fmt.Sprint(size, "/", row.name), func(t *testing.T) { w.measure(ctx, t, nil, row) })
			}
		}
		if ctx.Err() != nil {
			t.Fatal("interrupted")
		}
	}
}

// together measures rows with one edge.
func (w *world) together(ctx context.Context, t *testing.T, rows []row) {
	if len(rows) == 0 {
		return
	}
	w.t = t
	e := &edge{world: w}
	if rows[0].name != "start" { // which starts it
		if err := e.start(ctx, "pods"); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range rows {
		w.measure(ctx, t, e, row)
	}
}

// measure measures one row. One that cannot be measured does not keep others from
// being.
func (w *world) measure(ctx context.Context, t *testing.T, e *edge, row row) {
	if ctx.Err() != nil {
		return
	}
	w.t, w.row = t, row.name
	w.say("%d Services: %s (%s)", w.services, row.name, row.does)
	if err := row.run(ctx, w, e); err != nil {
		w.say("%s was not measured: %v", row.name, err)
		t.Errorf("%s: %v", row.name, err)
	}
}

package status_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// watched is what a case is built from: two looks, of which the second is told. What
// it does not say is as it was.
type watched struct {
	input
	Height int
	Brief  bool
	Next   struct {
		Seconds     float64
		Stats       *engine.Stats
		Backends    map[string]engine.BackendStats
		Open        map[string]engine.ListenerStats
		EngineError string
		Error       string // the edge gave no answer
	}
}

func (w watched) look() status.Look {
	depth := engine.Whole
	if w.Brief {
		depth = engine.Brief
	}
	before := w.status(depth)
	elapsed := time.Duration(w.Next.Seconds * float64(time.Second))
	next := w.input
	next.Now, next.EngineError = w.Now.Add(elapsed), w.Next.EngineError
	if w.Next.Error != "" {
		return status.Look{At: next.Now, Status: &before, Error: w.Next.Error}
	}
	next.Backends, next.Open = w.Next.Backends, w.Next.Open
	if w.Next.Stats != nil {
		next.Stats = *w.Next.Stats
	}
	now := next.status(depth)
	return status.Look{At: now.At, Status: &now, Rates: status.Compare(before, now, elapsed)}
}

// TestWatch tells the second of two looks as a table and, if a case has the file,
// its rates as JSON.
func TestWatch(t *testing.T) {
	testgolden.Run(t, "testdata/watch/*.txtar", func(t *testing.T, a *txtar.Archive) *txtar.Archive {
		var in watched
		if err := yaml.UnmarshalStrict(a.Files[0].Data, &in); err != nil {
			t.Fatalf("read %s: %v", a.Files[0].Name, err)
		}
		l := in.look()
		if len(a.Files) == 1 {
			a.Files = append(a.Files, txtar.File{Name: "table.txt"})
		}
		for i, f := range a.Files[1:] {
			switch f.Name {
			case "table.txt":
				format := status.Format{Width: in.Width, Height: in.Height, Color: in.Color}
				a.Files[i+1].Data = []byte(strings.ReplaceAll(status.WatchTable(l, format), "\x1b", "ESC"))
			case "rates.json":
				text, err := json.MarshalIndent(l.Rates, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				a.Files[i+1].Data = append(text, '\n')
			default:
				t.Fatalf("unknown file %s", f.Name)
			}
		}
		return a
	})
}

// TestWatchFits: whatever there is to show, on whatever it is shown.
func TestWatchFits(t *testing.T) {
	in := watched{input: input{State: &model.State{}, Stats: engine.Stats{Workers: []engine.Worker{{PID: 1}}}}}
	in.Next.Seconds = 1
	in.Backends, in.Next.Backends = map[string]engine.BackendStats{}, map[string]engine.BackendStats{}
	for i := range 3000 {
		name := fmt.Sprintf("home/a-namespace/service-%04d/8080/http", i)
		in.State.Backends = append(in.State.Backends, &model.Backend{Name: name, Protocol: model.HTTP, Endpoints: make([]model.Endpoint, 4)})
		in.State.Listeners = append(in.State.Listeners, &model.Listener{Name: name, Protocol: model.TCP, Port: uint16(1 + i)})
		in.Findings = append(in.Findings, model.Finding{Reason: "NoEndpoints", Message: strings.Repeat("word ", i%50)})
		active := 4
		if i%3 == 0 {
			active = 0
		}
		in.Backends[name] = engine.BackendStats{Active: active}
		in.Next.Backends[name] = engine.BackendStats{Active: active, Counters: engine.Counters{Requests: int64(i) * 1e6, BytesIn: 1 << 50}}
		in.Changes = append(in.Changes, status.Change{Objects: name})
	}
	in.Brief = true
	l := in.look()
	for _, height := range []int{10, 24, 25, 50, 200} {
		for _, width := range []int{79, 80, 100, 200} {
			table := status.WatchTable(l, status.Format{Width: width, Height: height})
			if n := strings.Count(table, "\n"); n > height || n < height-4 && height < 200 {
				t.Errorf("%d lines for a height of %d:\n%s", n, height, table)
			}
			for line := range strings.Lines(table) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
					t.Errorf("%d columns for a width of %d: %s", n, width, line)
				}
			}
		}
	}
	table := status.WatchTable(l, status.Format{Width: 100, Height: 30})
	for _, want := range []string{"service-2999", "service-2997", "0/4 up", "more, "} { // the busiest, and one that is down
		if !strings.Contains(table, want) {
			t.Errorf("%s is not shown:\n%s", want, table)
		}
	}
}

package status_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// input is what a case is built from: in.yaml.
type input struct {
	Now, Started time.Time
	Width        int
	Color        bool
	Edge         string
	Waiting      []string
	VIPs         []model.VIP
	Sources      []source.Status
	State        *model.State
	Findings     []model.Finding
	Changes      []status.Change
	Stats        engine.Stats
	EngineError  string
	Backends     map[string]engine.BackendStats
	Open         map[string]engine.ListenerStats

	Registrations []status.Registration
}

func (in input) status(depth engine.Depth) status.Status {
	snap := status.Snapshot{
		Edge: in.Edge, Started: in.Started, VIPs: in.VIPs, Sources: in.Sources, Changes: in.Changes, Waiting: in.Waiting,
	}
	if in.State != nil {
		snap.Output = &desired.Output{State: *in.State, Findings: in.Findings}
	}
	stats := in.Stats
	stats.Backends, stats.Listeners = in.Backends, in.Open
	var err error
	if in.EngineError != "" {
		err = errors.New(in.EngineError)
	}
	s := status.Build(in.Now, snap, depth, stats, err)
	s.Registrations = in.Registrations
	return s
}

// TestStatus builds a status from the first file of each case, and tells it in the
// forms that the other files are named after.
func TestStatus(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, a *txtar.Archive) *txtar.Archive {
		var in input
		if err := yaml.UnmarshalStrict(a.Files[0].Data, &in); err != nil {
			t.Fatalf("read %s: %v", a.Files[0].Name, err)
		}
		s := in.status(engine.Whole)
		if len(a.Files) == 1 {
			a.Files = append(a.Files, txtar.File{Name: "table.txt"})
		}
		for i, f := range a.Files[1:] {
			var got string
			switch f.Name {
			case "table.txt":
				got = strings.ReplaceAll(status.Table(s, status.Format{Width: in.Width, Color: in.Color}), "\x1b", "ESC")
			case "status.json":
				text, err := json.MarshalIndent(s, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				got = string(text) + "\n"
			default:
				t.Fatalf("unknown file %s", f.Name)
			}
			a.Files[i+1].Data = []byte(got)
		}
		return a
	})
}

// TestHostileNames: a name that moves the cursor must not reach the terminal.
func TestHostileNames(t *testing.T) {
	evil := "a\x1b[2J\nready\x00\u202e" + strings.Repeat("x", 1<<20)
	s := status.Build(time.Unix(0, 0), status.Snapshot{
		Edge:    evil,
		Sources: []source.Status{{Name: evil, Message: evil}},
		Output: &desired.Output{
			State: model.State{
				Listeners: []*model.Listener{{Name: evil, Protocol: model.HTTP}},
				Routes:    []*model.Route{{Name: evil, Match: model.Match{Host: evil, Path: evil}}},
				Backends:  []*model.Backend{{Name: evil, Endpoints: []model.Endpoint{{Target: evil}}}},
			},
			Findings: []model.Finding{{Origin: model.Origin{Name: evil}, Message: evil, Field: evil}},
		},
		Changes: []status.Change{{Objects: evil}},
	}, engine.Whole, engine.Stats{}, nil)
	table := status.Table(s, status.Format{Width: 80})
	if strings.ContainsAny(table, "\x1b\x00\u202e") {
		t.Error("the table holds control characters")
	}
	if len(table) > 64<<10 {
		t.Errorf("the table has %d bytes", len(table))
	}
}

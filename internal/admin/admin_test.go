package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/admin"
	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/status"
)

// edge is what the server is asked about, and what it was told.
type edge struct {
	snapshot status.Snapshot
	engine   func(context.Context) ([]byte, error)
	stopped  chan time.Duration
}

func newEdge() *edge {
	return &edge{
		stopped: make(chan time.Duration, 1),
		snapshot: status.Snapshot{
			Edge:    "shore",
			Sources: []source.Status{{Name: "home", Synced: true}, {Name: "files", Stale: true}},
			Output: &desired.Output{
				State: model.State{
					Listeners: []*model.Listener{{Name: "main/http"}},
					Backends:  []*model.Backend{{Name: "b", Endpoints: make([]model.Endpoint, 3)}},
				},
				Findings: []model.Finding{{Origin: model.Origin{Source: "home"}, Reason: "NoEndpoints"}},
			},
		},
	}
}

// serve runs a server for the length of the test and returns clients for its
// socket and its address.
func (e *edge) serve(t *testing.T, dir string) (socket, tcp func(method, path string) (int, string)) {
	t.Helper()
	metrics := admin.NewMetrics("v0.0.0-test", func() status.Snapshot { return e.snapshot })
	metrics.Turn(2*time.Millisecond, nil)
	metrics.Turn(3*time.Millisecond, errors.New("engine"))
	metrics.Applied(plan.Plan{Listeners: []plan.Step[model.Listener]{{Verb: plan.Add}}}, engine.Applied{Way: engine.Reload})
	metrics.Applied(plan.Plan{}, engine.Applied{Way: engine.Runtime})
	path := filepath.Join(dir, "admin.sock")
	s, err := admin.Open(t.Context(), admin.Config{
		Socket: path, Listen: "127.0.0.1:0", Metrics: metrics, EngineMetrics: e.engine,
		Snapshot: func() status.Snapshot { return e.snapshot },
		Status: func(_ context.Context, depth engine.Depth) status.Status {
			return status.Build(time.Unix(0, 0), e.snapshot, depth, engine.Stats{Version: "2.6"}, nil)
		},
		Stop: func(_ context.Context, drain time.Duration) error { e.stopped <- drain; return nil },
		Approve: func(_ context.Context, source string) ([]status.Held, error) {
			if source == "broken" {
				return nil, errors.New("no answer")
			}
			return e.snapshot.Held, nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	unix := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(unix.CloseIdleConnections)
	return client(t, unix, "http://edge"), client(t, http.DefaultTransport, "http://"+s.Addr().String())
}

func client(t *testing.T, transport http.RoundTripper, base string) func(method, path string) (int, string) {
	return func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

func TestReady(t *testing.T) {
	e := newEdge()
	e.snapshot.Waiting = []string{"nothing has been applied yet"}
	socket, tcp := e.serve(t, t.TempDir())
	for name, ask := range map[string]func(string, string) (int, string){"socket": socket, "tcp": tcp} {
		if code, body := ask("GET", "/healthz"); code != 200 {
			t.Errorf("%s: /healthz: %d %s", name, code, body)
		}
		if code, body := ask("GET", "/readyz"); code != 503 || body != "nothing has been applied yet\n" {
			t.Errorf("%s: /readyz: %d %s", name, code, body)
		}
	}
}

func TestStatus(t *testing.T) {
	socket, tcp := newEdge().serve(t, t.TempDir())
	for _, ask := range []func(string, string) (int, string){socket, tcp} {
		code, body := ask("GET", "/v1/status")
		var s status.Status
		if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || s.Edge != "shore" || s.HAProxy.Version != "2.6" {
			t.Errorf("status: %d %v %s", code, err, body)
		}
		if len(s.Backends) != 1 || len(s.Backends[0].Endpoints) != 3 || s.Routes == nil {
			t.Errorf("backends %+v, routes %v", s.Backends, s.Routes)
		}
		_, body = ask("GET", "/v1/status?depth=brief")
		if strings.Contains(body, `"endpoints"`) || strings.Contains(body, `"routes"`) || !strings.Contains(body, `"total":3`) {
			t.Errorf("in brief: %s", body)
		}
	}
}

func TestMetrics(t *testing.T) {
	e := newEdge()
	e.engine = func(context.Context) ([]byte, error) { return []byte("haproxy_up 1\n"), nil }
	e.snapshot.Held = []status.Held{{Source: "home", Routes: 12, Backends: 3}}
	e.snapshot.Engine = []model.Finding{{Origin: model.Origin{Source: "haproxy"}, Reason: "ExtraFileRefused"}}
	_, tcp := e.serve(t, t.TempDir())
	code, body := tcp("GET", "/metrics")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	for _, want := range []string{
		`landfall_build_info{version="v0.0.0-test"} 1`, `landfall_turn_duration_seconds_count 2`, `landfall_turn_failures_total 1`,
		`landfall_changes_total{way="reload"} 1`, `landfall_changes_total{way="start"} 0`,
		`landfall_reloads_total{cause="listener added"} 1`, `landfall_findings{reason="NoEndpoints",source="home"} 1`,
		`landfall_findings{reason="ExtraFileRefused",source="haproxy"} 1`,
		`landfall_source_synced{source="home"} 1`, `landfall_source_stale{source="files"} 1`, `landfall_ready 1`,
		`landfall_removals_held{kind="route",source="home"} 12`, `landfall_removals_held{kind="backend",source="home"} 3`,
		`landfall_removals_held{kind="route",source="files"} 0`,
		`landfall_listeners 1`, `landfall_routes 0`, `landfall_backends 1`, `landfall_endpoints 3`, "go_goroutines", "haproxy_up 1",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	e.engine = nil
}

// An engine that does not answer takes nothing from the edge's own metrics.
func TestMetricsWithoutEngine(t *testing.T) {
	e := newEdge()
	e.engine = func(context.Context) ([]byte, error) { return nil, errors.New("no answer") }
	_, tcp := e.serve(t, t.TempDir())
	if code, body := tcp("GET", "/metrics"); code != 200 || !strings.Contains(body, "landfall_listeners 1") {
		t.Errorf("%d %s", code, body)
	}
}

func TestStop(t *testing.T) {
	e := newEdge()
	socket, tcp := e.serve(t, t.TempDir())
	if code, _ := tcp("POST", "/v1/stop"); code != 404 {
		t.Errorf("stop over TCP: %d", code)
	}
	for _, bad := range []string{"soon", "-1s", "24h"} {
		if code, body := socket("POST", "/v1/stop?drain="+bad); code != 400 || !strings.Contains(body, "30s") {
			t.Errorf("drain=%s: %d %s", bad, code, body)
		}
	}
	if code, _ := socket("GET", "/v1/stop"); code != 405 {
		t.Errorf("GET: %d", code)
	}
	if code, body := socket("POST", "/v1/stop?drain=30s"); code != 200 || <-e.stopped != 30*time.Second {
		t.Errorf("%d %s", code, body)
	}
}

func TestSocket(t *testing.T) {
	open := func(path string) error {
		s, err := admin.Open(t.Context(), admin.Config{
			Socket: path, Metrics: admin.NewMetrics("", func() status.Snapshot { return status.Snapshot{} }),
			Log: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			s.Close()
		}
		return err
	}
	dir := t.TempDir()
	t.Run("folder is made and the mode set", func(t *testing.T) {
		path := filepath.Join(dir, "run", "a.sock")
		s, err := admin.Open(t.Context(), admin.Config{
			Socket:  path,
			Metrics: admin.NewMetrics("", func() status.Snapshot { return status.Snapshot{} }), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%v %v", info, err)
		}
		if err := open(path); !errors.Is(err, admin.ErrAnswers) {
			t.Errorf("a socket that answers was taken: %v", err)
		}
	})
	t.Run("stale", func(t *testing.T) {
		path := filepath.Join(dir, "stale.sock")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false) // as a killed process leaves it
		_ = l.Close()
		if err := open(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Error(err)
		}
		if data, _ := os.ReadFile(path); string(data) != "precious" {
			t.Error("the file was replaced")
		}
	})
	t.Run("too long", func(t *testing.T) {
		if err := open(filepath.Join(dir, strings.Repeat("x", 100))); !errors.Is(err, admin.ErrSocketPath) {
			t.Error(err)
		}
	})
}

func TestApprove(t *testing.T) {
	e := newEdge()
	socket, tcp := e.serve(t, t.TempDir())
	if code, _ := tcp("POST", "/v1/approve"); code != 404 {
		t.Errorf("approve over TCP: %d", code)
	}
	if code, _ := socket("GET", "/v1/approve"); code != 405 {
		t.Errorf("GET: %d", code)
	}
	if code, body := socket("POST", "/v1/approve?source=home"); code != 200 || body != `{"approved":[]}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
	e.snapshot.Held = []status.Held{{Source: "home", Routes: 12, AllRoutes: 20}}
	if code, body := socket("POST", "/v1/approve?source=home"); code != 200 || !strings.Contains(body, `"allRoutes":20`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := socket("POST", "/v1/approve?source=broken"); code != 500 || !strings.Contains(body, "not gone yet: no answer") {
		t.Errorf("%d %s", code, body)
	}
}

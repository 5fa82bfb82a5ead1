package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
)

// askTimeout is how long the engine may take to answer for status and metrics.
const askTimeout = 5 * time.Second

// maxDrain is the longest drain that can be asked for in one request; it fits
// the write timeout.
const maxDrain = 4 * time.Minute

// /v1/status?depth=brief leaves out routes and endpoints.
const (
	depthKey   = "depth"
	briefDepth = "brief"
)

func (s *Server) handler(trusted bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /v1/status", s.status)
	if trusted {
		mux.HandleFunc("POST /v1/stop", s.stop)
		mux.HandleFunc("POST /v1/approve", s.approve)
	}
	return mux
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	waiting := s.config.Snapshot().Waiting
	if len(waiting) == 0 {
		_, _ = io.WriteString(w, "ready\n")
		return
	}
	http.Error(w, strings.Join(waiting, "\n"), http.StatusServiceUnavailable)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	depth := engine.Whole
	if r.URL.Query().Get(depthKey) == briefDepth {
		depth = engine.Brief
	}
	if err := json.NewEncoder(w).Encode(s.config.Status(ctx, depth)); err != nil {
		s.config.Log.Debug("status was not sent", "error", err)
	}
}

// metrics answers with the edge's own and, behind them, the engine's. An engine
// that does not answer takes nothing from the edge's own.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	own := &recorder{header: http.Header{}}
	plain := r.Clone(ctx)
	plain.Header = http.Header{} // text, so that it can be joined
	promhttp.HandlerFor(s.config.Metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(own, plain)
	if own.code != 0 && own.code != http.StatusOK {
		http.Error(w, own.body.String(), own.code)
		return
	}
	w.Header().Set("Content-Type", own.header.Get("Content-Type"))
	_, _ = w.Write(own.body.Bytes())
	if s.config.EngineMetrics == nil {
		return
	}
	engine, err := s.config.EngineMetrics(ctx)
	if err != nil {
		s.config.Log.Debug("the engine gave no metrics", "error", err)
		return
	}
	_, _ = w.Write(engine)
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	drain := time.Duration(0)
	if text := r.URL.Query().Get("drain"); text != "" {
		var err error
		if drain, err = time.ParseDuration(text); err != nil || drain < 0 || drain > maxDrain {
			http.Error(w, fmt.Sprintf("drain %.40q: want a duration up to %s, for example 30s", text, maxDrain), http.StatusBadRequest)
			return
		}
	}
	// The caller may go away: what it asked for is done all the same.
	if err := s.config.Stop(context.WithoutCancel(r.Context()), drain); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, "stopped\n")
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) {
	held, err := s.config.Approve(r.Context(), r.URL.Query().Get("source"))
	if err != nil {
		http.Error(w, "it is approved, and not gone yet: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if held == nil {
		held = []status.Held{}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(status.Approved{Approved: held}); err != nil {
		s.config.Log.Debug("what was approved was not sent", "error", err)
	}
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

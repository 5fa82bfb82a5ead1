package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/status"
)

// Metrics counts what the edge does. What it is like now is read from a Snapshot
// when somebody asks.
type Metrics struct {
	registry *prometheus.Registry
	turns    prometheus.Histogram
	failures prometheus.Counter
	changes  *prometheus.CounterVec
	reloads  *prometheus.CounterVec
}

// NewMetrics returns the metrics of an edge of this version, with a registry of
// their own.
func NewMetrics(version string, snapshot func() status.Snapshot) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "landfall_turn_duration_seconds",
			Help:    "How long one turn of the loop took, from reading the sources until clients see the change.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "landfall_turn_failures_total", Help: "Turns that failed and were tried again.",
		}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "landfall_changes_total", Help: "Changes that went live, by the way they took.",
		}, []string{"way"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "landfall_reloads_total", Help: "Reloads of the engine, by the kind of object that needed it.",
		}, []string{"cause"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "landfall_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	for _, way := range []engine.Way{engine.Runtime, engine.Reload, engine.Start} {
		m.changes.WithLabelValues(string(way))
	}
	m.registry.MustRegister(m.turns, m.failures, m.changes, m.reloads, build, now{snapshot, descriptions()},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Turn counts one turn of the loop.
func (m *Metrics) Turn(took time.Duration, err error) {
	m.turns.Observe(took.Seconds())
	if err != nil {
		m.failures.Inc()
	}
}

// Applied counts one change that went live.
func (m *Metrics) Applied(p plan.Plan, a engine.Applied) {
	m.changes.WithLabelValues(string(a.Way)).Inc()
	if a.Way == engine.Reload {
		m.reloads.WithLabelValues(cause(p)).Inc()
	}
}

// cause is the kind of object that needed the reload: few words, so that they can
// be a label; the history of changes names the object.
func cause(p plan.Plan) string {
	for _, s := range p.Listeners {
		switch s.Verb {
		case plan.Add:
			return "listener added"
		case plan.Remove:
			return "listener removed"
		}
	}
	switch {
	case len(p.Listeners) > 0:
		return "listener changed"
	case len(p.Backends) > 0:
		return "backend"
	case len(p.Probes) > 0:
		return "probe"
	case len(p.Routes) > 0:
		return "route"
	default:
		return "other"
	}
}

// now is what a Snapshot says, as gauges.
type now struct {
	snapshot func() status.Snapshot
	desc     map[string]*prometheus.Desc
}

func descriptions() map[string]*prometheus.Desc {
	out := map[string]*prometheus.Desc{}
	for _, d := range []struct {
		name, help string
		labels     []string
	}{
		{"ready", "Whether what is asked for is served.", nil},
		{"listeners", "Ports that are served.", nil},
		{"routes", "Routes that are served.", nil},
		{"backends", "Backends that are served.", nil},
		{"endpoints", "Endpoints of all backends.", nil},
		{"findings", "Requests that could not be met as they were written.", []string{"source", "reason"}},
		{"removals_held", "Routes, and backends' endpoints, that the source no longer asks for and that are held back.", []string{"source", "kind"}},
		{"source_synced", "Whether the source has given a whole answer since the start.", []string{"source"}},
		{"source_stale", "Whether what is served of the source is its last good answer.", []string{"source"}},
	} {
		out[d.name] = prometheus.NewDesc("landfall_"+d.name, d.help, d.labels, nil)
	}
	return out
}

// Describe names the gauges.
func (n now) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range n.desc {
		ch <- d
	}
}

// Collect reads a Snapshot.
func (n now) Collect(ch chan<- prometheus.Metric) {
	snap := n.snapshot()
	gauge := func(name string, value int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(n.desc[name], prometheus.GaugeValue, float64(value), labels...)
	}
	gauge("ready", one(len(snap.Waiting) == 0))
	for _, s := range snap.Sources {
		gauge("source_synced", one(s.Synced), s.Name)
		gauge("source_stale", one(s.Stale), s.Name)
		held := heldOf(snap, s.Name)
		gauge("removals_held", held.Routes, s.Name, "route")
		gauge("removals_held", held.Backends, s.Name, "backend")
	}
	type key struct{ source, reason string }
	findings := map[key]int{}
	for _, f := range snap.Findings() {
		findings[key{f.Origin.Source, f.Reason}]++
	}
	for k, count := range findings {
		gauge("findings", count, k.source, k.reason)
	}
	if snap.Output == nil {
		return
	}
	state := snap.Output.State
	gauge("listeners", len(state.Listeners))
	gauge("routes", len(state.Routes))
	gauge("backends", len(state.Backends))
	endpoints := 0
	for _, b := range state.Backends {
		endpoints += len(b.Endpoints)
	}
	gauge("endpoints", endpoints)
}

// heldOf is what is held back of a source, which may be nothing.
func heldOf(snap status.Snapshot, source string) (held status.Held) {
	for _, h := range snap.Held {
		if h.Source == source {
			held = h
		}
	}
	return held
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

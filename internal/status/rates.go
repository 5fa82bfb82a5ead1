package status

import (
	"net/netip"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
)

// Look is one look at an edge that is watched, and one line of what `landfall
// status --watch -o json` prints. Without an answer there is only At and Error.
type Look struct {
	*Status
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"`
	// Rates are nil when there is nothing yet to compare with.
	Rates *Rates `json:"rates,omitempty"`
}

// Rates are what happens per second, from two looks at an edge. What had nothing
// to do is left out.
type Rates struct {
	Seconds   float64                            `json:"seconds"` // between the looks
	Edge      EdgeRate                           `json:"edge"`
	Listeners map[string]Rate                    `json:"listeners"`
	Backends  map[string]Rate                    `json:"backends"`
	Endpoints map[string]map[netip.AddrPort]Rate `json:"endpoints,omitempty"` // by backend
}

// Rate is what happens per second at a listener, a backend or an endpoint.
type Rate struct {
	Requests       float64 `json:"requests"` // HTTP requests; connections of TCP
	Errors5xx      float64 `json:"errors5xx,omitempty"`
	FailedConnects float64 `json:"failedConnects,omitempty"`
	Retries        float64 `json:"retries,omitempty"`
	BytesIn        float64 `json:"bytesIn,omitempty"`
	BytesOut       float64 `json:"bytesOut,omitempty"`
}

// EdgeRate is what happens per second at all listeners: requests at those for
// HTTP, connections at those for TCP.
type EdgeRate struct {
	Rate
	Connections float64 `json:"connections"`
	// ChangesPerMinute went live.
	ChangesPerMinute float64 `json:"changesPerMinute"`
}

// Compare turns the counters of two looks into rates. It is nil without an engine's
// word on both, or without time in between.
//
// A new worker counts from 0: what it has counted is then all that is known of the
// time between the looks, and what the worker before it did in it is lost. What was
// not there at the look before has no rate yet.
func Compare(before, now Status, elapsed time.Duration) *Rates {
	was, is := counting(before), counting(now)
	if was == 0 || is == 0 || elapsed <= 0 {
		return nil
	}
	c := comparison{seconds: elapsed.Seconds(), fresh: was != is}
	r := &Rates{Seconds: c.seconds, Listeners: map[string]Rate{}, Backends: map[string]Rate{}}
	r.Edge.ChangesPerMinute = perMinute(now.Changes, now.At)
	listeners := make(map[string]engine.Counters, len(before.Listeners))
	for _, l := range before.Listeners {
		listeners[l.Name] = l.Counters
	}
	for _, l := range now.Listeners {
		rate := rateOf(c, r.Listeners, listeners, l.Name, l.Counters)
		if l.Protocol != model.HTTP {
			r.Edge.Connections += rate.Requests
			rate.Requests = 0
		}
		r.Edge.add(rate)
	}
	backends := make(map[string]engine.Counters, len(before.Backends))
	for _, b := range before.Backends {
		backends[b.Name] = b.Counters
	}
	for _, b := range now.Backends {
		rate := rateOf(c, r.Backends, backends, b.Name, b.Counters)
		r.Edge.add(Rate{FailedConnects: rate.FailedConnects, Retries: rate.Retries})
	}
	r.Endpoints = endpointRates(c, before.Backends, now.Backends)
	return r
}

// Counted reports whether the engine said what it counted.
func (s Status) Counted() bool { return counting(s) != 0 }

// counting is the worker that counted; 0 when the engine did not say.
func counting(s Status) int {
	if s.HAProxy.Error != "" || len(s.HAProxy.Workers) == 0 {
		return 0
	}
	return s.HAProxy.Workers[0].PID
}

func endpointRates(c comparison, before, now []Backend) map[string]map[netip.AddrPort]Rate {
	type key struct {
		backend string
		address netip.AddrPort
	}
	known := map[key]engine.Counters{}
	for _, b := range before {
		for _, e := range b.Endpoints {
			known[key{b.Name, e.Address}] = e.Counters
		}
	}
	all := map[string]map[netip.AddrPort]Rate{}
	for _, b := range now {
		rates, were := map[netip.AddrPort]Rate{}, make(map[netip.AddrPort]engine.Counters, len(b.Endpoints))
		for _, e := range b.Endpoints {
			if was, ok := known[key{b.Name, e.Address}]; ok {
				were[e.Address] = was
			}
			rateOf(c, rates, were, e.Address, e.Counters)
		}
		if len(rates) > 0 {
			all[b.Name] = rates
		}
	}
	return all
}

// comparison is what holds for all counters of two looks.
type comparison struct {
	seconds float64
	fresh   bool // another worker counts
}

// rateOf is the rate of one object, and put into rates if it is not idle.
func rateOf[K comparable](c comparison, rates map[K]Rate, before map[K]engine.Counters, name K, now engine.Counters) Rate {
	was, known := before[name]
	switch {
	case c.fresh:
		was = engine.Counters{}
	case !known:
		was = now
	}
	per := func(was, now int64) float64 {
		if now < was { // the object went and came back
			was = 0
		}
		return float64(now-was) / c.seconds
	}
	r := Rate{
		Requests: per(was.Requests, now.Requests), Errors5xx: per(was.Errors5xx, now.Errors5xx),
		FailedConnects: per(was.FailedConnects, now.FailedConnects), Retries: per(was.Retries, now.Retries),
		BytesIn: per(was.BytesIn, now.BytesIn), BytesOut: per(was.BytesOut, now.BytesOut),
	}
	if r != (Rate{}) {
		rates[name] = r
	}
	return r
}

func (r *Rate) add(other Rate) {
	r.Requests += other.Requests
	r.Errors5xx += other.Errors5xx
	r.FailedConnects += other.FailedConnects
	r.Retries += other.Retries
	r.BytesIn += other.BytesIn
	r.BytesOut += other.BytesOut
}

// perMinute is how many changes went live in the minute before now. When all that
// are remembered did, the time since the oldest is what can be judged by.
func perMinute(changes []Change, now time.Time) float64 {
	n := 0
	for _, c := range changes { // the newest first
		if now.Sub(c.At) >= time.Minute {
			return float64(n)
		}
		n++
	}
	if n < KeptChanges {
		return float64(n)
	}
	since := max(now.Sub(changes[n-1].At), time.Millisecond)
	return float64(n) * float64(time.Minute) / float64(since)
}

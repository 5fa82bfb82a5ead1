package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 3 * time.Second
	// forgetAfter is how long an address that fails no more is remembered.
	forgetAfter = time.Minute
	maxTold     = 10_000
)

// Delays says how long an answer to a wrong token waits: longer with each from the
// same address, or from the same IPv6 network. It says nothing about right ones.
type Delays struct {
	mu    sync.Mutex
	of    map[netip.Prefix]failures
	swept time.Time
}

type failures struct {
	delay time.Duration
	last  time.Time
}

// Next notes a failure and returns its delay.
func (d *Delays) Next(addr netip.Addr, now time.Time) time.Duration {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	from, _ := addr.Prefix(bits) // zero for what is no address
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[netip.Prefix]failures{}
	}
	d.sweep(now)
	f, known := d.of[from]
	switch {
	case !known && len(d.of) >= maxTold: // so many at once: they share the longest
		return lastDelay
	case !known || now.Sub(f.last) > forgetAfter:
		f.delay = firstDelay
	default:
		f.delay = min(2*f.delay, lastDelay)
	}
	f.last = now
	d.of[from] = f
	return f.delay
}

func (d *Delays) sweep(now time.Time) {
	if now.Sub(d.swept) < forgetAfter {
		return
	}
	d.swept = now
	for from, f := range d.of {
		if now.Sub(f.last) > forgetAfter {
			delete(d.of, from)
		}
	}
}

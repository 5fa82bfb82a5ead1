package phonehome

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
)

const (
	// lookAtLeast is how far apart two looks at all leases are, at least, and
	// lookAtMost at most.
	lookAtLeast = 200 * time.Millisecond
	lookAtMost  = time.Minute
	// checkEvery is how often addresses that may be superseded are tried.
	checkEvery   = 2 * time.Second
	checkTimeout = time.Second
	checkAtOnce  = 32
	// checkFails is how often in a row one must fail to be taken out.
	checkFails = 2
)

// Run listens and keeps time until ctx ends.
func (s *Source) Run(ctx context.Context, changed func()) error {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	if s.cfg.Passive {
		<-ctx.Done()
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.serve(ctx) })
	wg.Go(func() { s.refresh(ctx) })
	wg.Go(func() { s.keepTime(ctx) })
	wg.Go(func() { s.checkSuperseded(ctx) })
	wg.Go(func() {
		s.store.run(ctx, s.snapshot, s.news)
	})
	wg.Wait()
	return nil
}

// refresh reads what may have changed on disk.
func (s *Source) refresh(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		s.book.ReadFiles()
		s.book.AskIssuers(ctx)
		s.cert.read()
		s.forgetRefusals()
		s.news()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepTime ends leases, graces and drains.
func (s *Source) keepTime(ctx context.Context) {
	for {
		next := s.expire()
		pause := lookAtMost
		if !next.IsZero() {
			pause = min(max(next.Sub(s.now()), lookAtLeast), lookAtMost)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.soon:
			timer.Stop()
		}
	}
}

func (s *Source) expire() time.Time {
	s.mu.Lock()
	now := s.now()
	left, next := s.registry.Expire(now)
	news := s.registry.Dirty()
	if news {
		s.touch()
	}
	for _, r := range left {
		s.store.remove(r.Key)
	}
	changed := s.changed
	s.mu.Unlock()
	for _, r := range left {
		if r.Gone.IsZero() {
			s.audit("expired", r, "its lease and the grace after it have ended")
		}
	}
	if news {
		changed()
	}
	return next
}

// checkSuperseded tries addresses in whose place another one has come, and takes
// them out when nobody answers there.
func (s *Source) checkSuperseded(ctx context.Context) {
	fails := map[registry.Key]int{}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		suspects := s.registry.Superseded(s.now())
		s.mu.Unlock()
		dead := tryAll(ctx, suspects)
		if ctx.Err() != nil {
			return
		}
		again := map[registry.Key]int{}
		for _, r := range dead {
			if n := fails[r.Key] + 1; n < checkFails {
				again[r.Key] = n
			} else {
				s.drop(r)
			}
		}
		fails = again
	}
}

// tryAll returns those that answer at none of their ports.
func tryAll(ctx context.Context, suspects []*registry.Registration) []*registry.Registration {
	var g errgroup.Group
	g.SetLimit(checkAtOnce)
	silent := make([]bool, len(suspects))
	for i, r := range suspects {
		g.Go(func() error {
			silent[i] = !answers(ctx, r)
			return nil
		})
	}
	_ = g.Wait()
	var dead []*registry.Registration
	for i, r := range suspects {
		if silent[i] {
			dead = append(dead, r)
		}
	}
	return dead
}

func answers(ctx context.Context, r *registry.Registration) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var d net.Dialer
	for _, p := range r.Ports {
		c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(r.Address, p.Target).String())
		if err == nil {
			_ = c.Close()
			return true
		}
	}
	return false
}

// drop takes out a registration that has not been renewed since it was tried.
func (s *Source) drop(r *registry.Registration) {
	s.mu.Lock()
	now := s.registry.Get(r.Key)
	gone := now == r
	if gone {
		s.registry.Drop(r.Key)
		s.store.remove(r.Key)
		s.touch()
	}
	changed := s.changed
	s.mu.Unlock()
	if gone {
		s.audit("superseded", r, "nobody answers there, and another address has come in its place")
		changed()
	}
}

// snapshot is everything that is to be on disk.
func (s *Source) snapshot() []*registry.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.All()
}

// audit logs what became of a registration: who, what, from where.
func (s *Source) audit(action string, r *registry.Registration, result string) {
	s.log.Info("phone-home", "action", action, "client", r.Client, "name", r.Name, "address", r.Address.String(),
		"ports", portsText(r.Ports), "from", r.From.String(), "result", result)
}

func portsText(ports []registry.Port) string {
	const shown = 4
	text := ""
	for i, p := range ports {
		if i == shown {
			return text + fmt.Sprintf(" and %d more", len(ports)-shown)
		}
		if i > 0 {
			text += ", "
		}
		text += PortText(p)
	}
	return text
}

// PortText is a port for people: "8443 -> 30843", "a.example.com/ -> 30080".
func PortText(p registry.Port) string {
	front := strconv.Itoa(int(p.Front))
	if len(p.Hosts) > 0 {
		front = p.Hosts[0]
		if len(p.Paths) > 0 {
			front += p.Paths[0]
		}
		if n := len(p.Hosts) * max(len(p.Paths), 1); n > 1 {
			front += fmt.Sprintf(" (and %d more)", n-1)
		}
	}
	return front + " -> " + strconv.Itoa(int(p.Target))
}

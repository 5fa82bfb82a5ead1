package testload

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testwait"
)

// Load is clients at work until Stop. Each request goes to one of the hosts and must
// be answered by a server whose name begins with the host's first label.
type Load struct {
	t       testing.TB
	mayFail bool
	hosts   atomic.Pointer[[]string]
	sent    atomic.Int64
	end     context.CancelFunc
	wg      sync.WaitGroup
	once    sync.Once

	mu      sync.Mutex
	failed  []Failure
	slowest time.Duration
}

// Failure is a request that was not answered, or by somebody else's server.
type Failure struct {
	Begin, End time.Time
	Kept       bool // it was sent over a kept connection, or over a new one
	Err        error
}

func (f Failure) String() string {
	return fmt.Sprintf("request failed after %s (kept connection: %t): %v", f.End.Sub(f.Begin), f.Kept, f.Err)
}

// Config says what a Load is.
type Config struct {
	Address string
	Hosts   []string
	// Clients is how many have kept connections; as many make a new one for each
	// request.
	Clients int
	// Every is a client's pause between two requests; zero means 8 ms.
	Every time.Duration
	// MayFail: requests that fail are counted, and are no errors of the test.
	MayFail bool
}

// Start starts clients, and returns once requests are answered.
func Start(t testing.TB, c Config) *Load {
	t.Helper()
	if c.Every == 0 {
		c.Every = 8 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &Load{t: t, mayFail: c.MayFail, end: cancel}
	l.SetHosts(c.Hosts...)
	for i := range 2 * c.Clients {
		l.wg.Go(func() { l.work(ctx, &Client{Address: c.Address}, i%2 == 0, i, c.Every) })
	}
	t.Cleanup(func() { l.Stop() })
	l.After(int64(10 * c.Clients))
	return l
}

// SetHosts says where requests go from now on.
func (l *Load) SetHosts(hosts ...string) { l.hosts.Store(&hosts) }

func (l *Load) work(ctx context.Context, c *Client, keep bool, n int, every time.Duration) {
	defer c.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		hosts := *l.hosts.Load()
		host := hosts[n%len(hosts)]
		begin := time.Now()
		answer, err := c.Post(host, "/x", keep)
		if want, _, _ := strings.Cut(host, "."); err == nil && !strings.HasPrefix(answer, want) {
			err = fmt.Errorf("a request for %s was answered by %q", host, answer)
		}
		l.note(Failure{Begin: begin, End: time.Now(), Kept: keep, Err: err})
	}
}

// note counts a request.
func (l *Load) note(f Failure) {
	l.sent.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, f.End.Sub(f.Begin))
	if f.Err == nil {
		return
	}
	l.failed = append(l.failed, f)
	const told = 10
	if !l.mayFail && len(l.failed) <= told {
		l.t.Error(f)
	}
}

// Sent is how many requests have been sent and have ended.
func (l *Load) Sent() int64 { return l.sent.Load() }

// After waits until so many requests more have ended.
func (l *Load) After(requests int64) {
	l.t.Helper()
	until := l.sent.Load() + requests
	testwait.Until(l.t, "load goes on", func() bool { return l.sent.Load() >= until })
}

// Failed are the requests that failed so far, in the order of their ends.
func (l *Load) Failed() []Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed[:len(l.failed):len(l.failed)]
}

// Stop ends the clients after their last answers, and prints how it went.
func (l *Load) Stop() {
	l.t.Helper()
	l.once.Do(func() {
		l.end()
		l.wg.Wait()
		l.t.Logf("%d requests sent, %d failed; the slowest took %s", l.Sent(), len(l.Failed()), l.slowest.Round(time.Millisecond))
	})
}

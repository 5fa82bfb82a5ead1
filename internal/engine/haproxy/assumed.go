package haproxy

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/landfall-edge/landfall/internal/model"
)

// watchAssumed asks the nodes that are assumed to be up whether they answer by
// now: new ones, those that never did, and all when all went at once.
func (e *Engine) watchAssumed(ctx context.Context, changed func()) error {
	web := &http.Client{
		Timeout:       time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tick := time.NewTicker(healthEvery / 10)
	defer tick.Stop()
	asked := map[*model.Probe]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			var due []*model.Probe
			probes := e.monitor.snapshot()
			current := make(map[*model.Probe]time.Time, len(probes))
			for _, p := range probes {
				if !p.Assumed {
					continue
				}
				current[p] = asked[p]
				if now.Sub(asked[p]) >= assumedEvery {
					due = append(due, p)
					current[p] = now
				}
			}
			asked = current
			if e.askNodes(ctx, web, due) {
				changed()
			}
		}
	}
}

// askNodes asks nodes, some at a time, and reports news.
func (e *Engine) askNodes(ctx context.Context, web *http.Client, probes []*model.Probe) bool {
	var g errgroup.Group
	g.SetLimit(32)
	var mu sync.Mutex
	news := false
	for _, p := range probes {
		g.Go(func() error {
			up := answers(ctx, web, p)
			if ctx.Err() == nil && e.monitor.set(p.Name, up) {
				mu.Lock()
				news = true
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	return news
}

func answers(ctx context.Context, web *http.Client, p *model.Probe) bool {
	url := "http://" + netip.AddrPortFrom(p.Address, p.Port).String() + p.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := web.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

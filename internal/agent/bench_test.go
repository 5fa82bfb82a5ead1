package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"github.com/landfall-edge/landfall/internal/agent"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// BenchmarkEndpointChange is one endpoint change from a source's call until the
// engine is told of it, without what the engine costs.
func BenchmarkEndpointChange(b *testing.B) {
	for _, services := range []int{100, 10_000} {
		b.Run(fmt.Sprint(services), func(b *testing.B) {
			hosts := make([]string, services)
			for i := range hosts {
				hosts[i] = fmt.Sprintf("%05d.test", i)
			}
			f := site(hosts...)
			src := &sources{ready: make(chan struct{}), answer: []model.Fragment{f}}
			applied := make(chan struct{})
			a, err := agent.New(agent.Config{
				Sources: src, Engine: &machine{}, HTTPPort: 80, Log: slog.New(slog.DiscardHandler),
				VIPs:      func() []model.VIP { return []model.VIP{{Name: "main"}} },
				OnApplied: func(plan.Plan, engine.Applied) { applied <- struct{}{} },
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error)
			go func() { ended <- a.Run(ctx) }()
			close(src.ready)
			<-applied
			for i := 0; b.Loop(); i++ {
				at := i % services
				changed := *f.Backends[at]
				changed.Endpoints = []model.Endpoint{{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(1 + i>>16), byte(i >> 8), byte(i)}), 80)}}
				f.Backends = slices.Clone(f.Backends) // as a source would, whose old answer is still in use
				f.Backends[at] = &changed
				src.ask(f)
				<-applied
			}
			cancel()
			<-ended
		})
	}
}

package haproxy_test

import (
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/enginetest"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for name, spares := range map[string]int{"without spares": 0, "with spares": 8} {
		t.Run(name, func(t *testing.T) { contract(t, spares) })
	}
}

func contract(t *testing.T, spares int) {
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		t.Parallel()
		e := newEdge(t)
		e.config.Spares = spares
		e.reopen()
		h := enginetest.Harness{
			Engine: e.Engine,
			Reopen: func() engine.Engine {
				e.reopen()
				return e.Engine
			},
			// HAProxy refuses to track a server that it does not have.
			Spoil: func(s *model.State) string {
				b := s.Backends[0]
				b.Endpoints[0].Probe = "home/nowhere"
				return b.Name
			},
		}
		for range enginetest.NeedPorts {
			h.Ports = append(h.Ports, testnet.FreePort(t))
		}
		return h
	})
}

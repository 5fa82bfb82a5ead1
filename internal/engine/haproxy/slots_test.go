package haproxy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// answering are the endpoints that answer in one round and some.
func (e *edge) answering(t *testing.T, port uint16) []string {
	t.Helper()
	var names []string
	for range 40 {
		if code, body := get(t, port, "shop.test", "/"); code == 200 {
			names = append(names, body)
		} else {
			names = append(names, fmt.Sprint(code))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestNewNodesTakeSlots: nodes come and go without a reload, are probed from the
// first moment, and an agent that is restarted knows them.
func TestNewNodesTakeSlots(t *testing.T) {
	t.Parallel()
	needMovingChecks(t)
	e := newEdge(t)
	e.run()
	port := testnet.FreePort(t)
	var nodes []*node
	for i := range 4 {
		nodes = append(nodes, startNode(t, fmt.Sprintf("n%02d", i), "127.0.0.1"))
	}
	e.apply(nodesState(port, false, nodes[0]))
	for n := 2; n <= 3; n++ {
		if done := e.apply(nodesState(port, false, nodes[:n]...)); done.Way != engine.Runtime {
			t.Fatalf("node %d by %q (%s), want runtime", n, done.Way, done.Cause)
		}
	}
	if got := e.answering(t, port); !slices.Equal(got, []string{"shop on n00", "shop on n01", "shop on n02"}) {
		t.Errorf("answers of %v", got)
	}
	stats, err := e.Stats(t.Context(), engine.Brief)
	if err != nil || stats.NodeSlots != 16 || stats.FreeNodeSlots != 14 {
		t.Errorf("%d of %d slots are free (%v), want 14 of 16", stats.FreeNodeSlots, stats.NodeSlots, err)
	}

	// A node in a slot is judged by its probe.
	nodes[2].sick.Store(true)
	testwait.Until(t, "the sick node gets nothing", func() bool {
		return slices.Equal(e.answering(t, port), []string{"shop on n00", "shop on n01"})
	})
	testwait.Until(t, "its health is told", func() bool { return !e.Health()["home/n02"].Up })
	nodes[2].sick.Store(false)
	testwait.Until(t, "the node is back", func() bool { return len(e.answering(t, port)) == 3 })

	e.reopen()
	if done := e.apply(nodesState(port, false, nodes[:3]...)); done.Way != engine.Nothing {
		t.Errorf("a restarted agent did %q (%s), want nothing", done.Way, done.Cause)
	}

	// The slot of one that went is the next one's, and its health too.
	e.apply(nodesState(port, false, nodes[0], nodes[2]))
	if done := e.apply(nodesState(port, false, nodes[0], nodes[2], nodes[3])); done.Way != engine.Runtime {
		t.Errorf("a node after another by %q (%s), want runtime", done.Way, done.Cause)
	}
	nodes[3].sick.Store(true)
	testwait.Until(t, "the sick node gets nothing", func() bool {
		return slices.Equal(e.answering(t, port), []string{"shop on n00", "shop on n02"})
	})

	// One that was loaded goes and comes back under its own name.
	e.apply(nodesState(port, false, nodes[2]))
	if done := e.apply(nodesState(port, false, nodes[0], nodes[2])); done.Way != engine.Runtime {
		t.Errorf("a node that comes back by %q (%s), want runtime", done.Way, done.Cause)
	}
	if got := e.answering(t, port); !slices.Equal(got, []string{"shop on n00", "shop on n02"}) {
		t.Errorf("answers of %v", got)
	}
}

// TestSlotsUsedUp: the reload that comes then gives every node a server of its own.
func TestSlotsUsedUp(t *testing.T) {
	t.Parallel()
	needMovingChecks(t)
	e := newEdge(t)
	port := testnet.FreePort(t)
	var nodes []*node
	for i := range 18 {
		nodes = append(nodes, startNode(t, fmt.Sprintf("n%02d", i), "127.0.0.1"))
	}
	e.apply(nodesState(port, false, nodes[0]))
	if done := e.apply(nodesState(port, false, nodes[:17]...)); done.Way != engine.Runtime {
		t.Errorf("16 nodes by %q (%s), want runtime", done.Way, done.Cause)
	}
	if done := e.apply(nodesState(port, false, nodes...)); done.Way != engine.Reload {
		t.Errorf("the seventeenth by %q (%s), want reload", done.Way, done.Cause)
	}
	if got := e.answering(t, port); len(got) != len(nodes) {
		t.Errorf("answers of %v", got)
	}
	stats, err := e.Stats(t.Context(), engine.Brief)
	if err != nil || stats.FreeNodeSlots != 16 {
		t.Errorf("%d slots are free (%v), want 16", stats.FreeNodeSlots, err)
	}
}

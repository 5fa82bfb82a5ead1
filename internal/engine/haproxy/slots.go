package haproxy

import (
	"fmt"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// A server added at run time can track none that was. Each backend of probes
// therefore carries spare servers, in maintenance and so unchecked: slots. A new
// node takes one, and its endpoints track that. On disk the node's probe stands
// under its own name from the beginning, and gets it at the next reload, which
// gives back every slot.
const slotPrefix = "landfall-slot-"

func slotName(i int) string { return fmt.Sprintf("%s%d", slotPrefix, i) }

// slotCounts are how many slots the probes of each path have: room for a cluster to
// grow by a quarter, and for a small one to grow at all.
func slotCounts(probes []*model.Probe) map[string]int {
	counts := map[string]int{}
	for _, p := range probes {
		counts[p.Path]++
	}
	for path, n := range counts {
		counts[path] = max(16, n/4)
	}
	return counts
}

// slotLine is the line of all slots of a path.
func (s Settings) slotLine(count int) string {
	ok := s.okAddress()
	return fmt.Sprintf("  server-template %s %d %s check %s addr %s port %d disabled\n",
		slotPrefix, count, ok, probeTiming, ok.Addr(), ok.Port())
}

// probe is what HAProxy calls the server of a probe.
func (n names) probe(name string) string {
	if slot, ok := n.slots[name]; ok {
		return slot
	}
	return encode(name)
}

// freeSlots are those of a path that nobody has taken, as many as are asked for.
func (n names) freeSlots(l loaded, path string, probes map[string]*model.Probe, most int) []string {
	taken := make(map[string]bool, len(n.slots))
	for name, slot := range n.slots {
		if p := probes[name]; p == nil || p.Path == path {
			taken[slot] = true
		}
	}
	var free []string
	for i := 1; i <= l.Slots[path] && len(free) < most; i++ {
		if name := slotName(i); !taken[name] {
			free = append(free, name)
		}
	}
	return free
}

// newcomers are the probes of a plan that the worker has no server for, by path.
func (n names) newcomers(l loaded, p plan.Plan) map[string][]*model.Probe {
	all := map[string][]*model.Probe{}
	for _, s := range p.Probes {
		if s.Want == nil {
			continue
		}
		if _, ok := l.Probes[s.Want.Name]; ok {
			continue
		}
		if _, ok := n.slots[s.Want.Name]; !ok {
			all[s.Want.Path] = append(all[s.Want.Path], s.Want)
		}
	}
	return all
}

// slotsCause says why the probes of a plan need a reload.
func (r renderer) slotsCause(l loaded, n names, p plan.Plan) string {
	for _, s := range p.Probes {
		if s.Want == nil {
			continue
		}
		if !r.settings.Features.MovesChecks() {
			return "node " + s.Want.Origin.String() + " is new or probed elsewhere, which this HAProxy takes no command for"
		}
		path, ok := l.Probes[s.Want.Name]
		if ok && path != s.Want.Path || s.Have != nil && s.Have.Path != s.Want.Path {
			return "node " + s.Want.Origin.String() + " is probed by another path"
		}
	}
	for path, nodes := range n.newcomers(l, p) {
		switch free := len(n.freeSlots(l, path, r.probes, len(nodes))); {
		case l.Slots[path] == 0:
			return fmt.Sprintf("new node %s, the first that is probed by %s", nodes[0].Origin, path)
		case free < len(nodes):
			return "new node " + nodes[0].Origin.String() + ", and too few spare probes left"
		}
	}
	return ""
}

// settle gives every newcomer a slot; slotsCause has seen that there are enough.
func (n names) settle(l loaded, probes map[string]*model.Probe, p plan.Plan) {
	for path, nodes := range n.newcomers(l, p) {
		free := n.freeSlots(l, path, probes, len(nodes))
		for i, node := range nodes {
			n.slots[node.Name] = free[i]
		}
	}
}

// probeCommands bring probes in and change them; what leave has goes behind the
// endpoints, which would go into maintenance with the probe that they track.
func (r renderer) probeCommands(p plan.Plan, n names) (in, leave []command) {
	for _, s := range p.Probes {
		if s.Want == nil {
			leave = append(leave, command{text: fmt.Sprintf("set server %s/%s state maint",
				probeBackend(s.Have), n.probe(s.Have.Name))})
			continue
		}
		server := probeBackend(s.Want) + "/" + n.probe(s.Want.Name)
		addr, port := r.settings.checkAddress(s.Want)
		in = append(in, command{text: fmt.Sprintf("set server %s check-addr %s port %d", server, addr, port)})
		if s.Have == nil {
			in = append(in, command{text: fmt.Sprintf("set server %s state ready", server)})
		}
	}
	return in, leave
}

// idleSlots counts, over all paths, the slots there are and those that are free.
func (n names) idleSlots(l loaded) (all, free int) {
	for _, count := range l.Slots {
		all += count
	}
	return all, all - len(n.slots)
}

// currentNames are for looking up what probes are called now.
func (e *Engine) currentNames() names {
	e.mu.Lock()
	defer e.mu.Unlock()
	return names{bindings: e.names.clone()}
}

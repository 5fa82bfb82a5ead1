package desired

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// probeIndex numbers the probes that endpoints may name. It holds as long as no
// probe comes or goes.
type probeIndex struct {
	sources  []string
	given    [][]*model.Probe
	setAside map[string]string
	names    map[string]int32
	at       []place // of each number
}

func indexProbes(in Input, prev *probeIndex) *probeIndex {
	if prev != nil && prev.sameNames(in) {
		return prev
	}
	x := &probeIndex{setAside: maps.Clone(in.SetAside), names: map[string]int32{}}
	for i, f := range in.Fragments {
		x.sources = append(x.sources, f.Source)
		x.given = append(x.given, slices.Clone(f.Probes))
		for j, p := range f.Probes {
			_, known := x.names[p.Name]
			_, out := in.SetAside[p.Name]
			if known || out || p.Name == "" {
				continue
			}
			x.names[p.Name] = int32(len(x.at))
			x.at = append(x.at, place{int32(i), int32(j)})
		}
	}
	return x
}

func (x *probeIndex) sameNames(in Input) bool {
	if len(x.given) != len(in.Fragments) || !maps.Equal(x.setAside, in.SetAside) {
		return false
	}
	for i, f := range in.Fragments {
		if f.Source != x.sources[i] || !slices.EqualFunc(f.Probes, x.given[i], func(a, b *model.Probe) bool { return a == b || a.Name == b.Name }) {
			return false
		}
	}
	return true
}

// probes is which nodes are asked, and which are taken to be up unasked.
type probes struct {
	index    *probeIndex
	judged   []judged // those in use, in the order of index
	out      []*model.Probe
	findings []keyed
}

type judged struct {
	in     *model.Probe
	health health
	source int32
}

// health is what is known of a probe.
type health uint8

const (
	unknown health = iota // not asked yet: held up until it is, so that a start takes no node away
	never                 // asked, and never answered
	down
	up
)

func judge(name string, known map[string]model.ProbeHealth) health {
	h, asked := known[name]
	switch {
	case !asked:
		return unknown
	case h.Up:
		return up
	case h.Answered:
		return down
	}
	return never
}

func judgeProbes(in Input, m *memory, prev *probes) *probes {
	now := &probes{index: m.index}
	for n, at := range m.index.at {
		if m.backends.uses[n] > 0 {
			p := in.Fragments[at.source].Probes[at.i]
			now.judged = append(now.judged, judged{p, judge(p.Name, in.Health), at.source})
		}
	}
	if prev != nil && prev.index == now.index && slices.Equal(prev.judged, now.judged) {
		return prev
	}
	now.assume(in, prev)
	return now
}

// assume decides which probes hold without being asked.
func (p *probes) assume(in Input, prev *probes) {
	up := map[int32]int{}
	silent := map[int32]int{} // answered once, and do not now
	for _, j := range p.judged {
		switch j.health {
		case unknown, never:
		case down:
			silent[j.source]++
		default:
			up[j.source]++
		}
	}
	var findings []model.Finding
	told := map[int32]bool{}
	for _, j := range p.judged {
		all := silent[j.source] > 0 && up[j.source] == 0
		p.out = append(p.out, keepProbe(j.in, all || j.health == never || j.health == unknown, prev))
		switch {
		case j.health == never:
			findings = append(findings, neverAnswered(j.in, in.Fragments[j.source].Source))
		case all && j.health == down && !told[j.source]:
			told[j.source] = true
			findings = append(findings, allDown(j.in, in.Fragments[j.source].Source, silent[j.source]))
		}
	}
	findings = append(findings, asideProbes(in)...)
	p.out = sortRuns(p.out, func(a, b *model.Probe) int { return strings.Compare(a.Name, b.Name) })
	p.findings = sortFindings(findings)
}

// keepProbe sets Assumed, and returns the pointer of the turn before if it can.
func keepProbe(in *model.Probe, assumed bool, prev *probes) *model.Probe {
	if in.Assumed == assumed {
		return in
	}
	out := *in
	out.Assumed = assumed
	if prev == nil {
		return &out
	}
	i, ok := slices.BinarySearchFunc(prev.out, in.Name, func(p *model.Probe, name string) int { return strings.Compare(p.Name, name) })
	if ok && *prev.out[i] == out {
		return prev.out[i]
	}
	return &out
}

func neverAnswered(p *model.Probe, source string) model.Finding {
	node := p.Origin.Name
	if node == "" {
		node = p.Name
	}
	return model.Finding{
		Origin: p.Origin, Field: "probe", Reason: "ProbeNeverAnswered",
		Message: fmt.Sprintf("node %s never answered GET :%d%s; it is judged by its Ready condition alone. If the nodes run no kube-proxy set probe: {port, path} or probe: none for source %s",
			show(node), p.Port, show(p.Path), show(source)),
		Accepted: "its endpoints are served",
	}
}

func allDown(p *model.Probe, source string, n int) model.Finding {
	what := fmt.Sprintf("none of the %d nodes of source %s answers", n, show(source))
	if n == 1 {
		what = fmt.Sprintf("the only node of source %s that has ever answered no longer answers", show(source))
	}
	return model.Finding{
		Origin: model.Origin{Source: source}, Field: "probe", Reason: "AllProbesDown",
		Message: fmt.Sprintf("%s GET :%d%s; what is on them stays in service until one does. Look at kube-proxy on the nodes, and at the network between them and this edge",
			what, p.Port, show(p.Path)),
		Accepted: "all endpoints are served",
	}
}

// asideProbes tells of probes that an engine refused.
func asideProbes(in Input) []model.Finding {
	if len(in.SetAside) == 0 {
		return nil
	}
	var findings []model.Finding
	for _, f := range in.Fragments {
		for _, p := range f.Probes {
			if words, out := in.SetAside[p.Name]; out {
				findings = append(findings, model.Finding{
					Origin: p.Origin, Field: "probe", Reason: "Refused",
					Message:  setAsideMessage(p.Name, words),
					Accepted: "its endpoints are served without the probe",
				})
			}
		}
	}
	return findings
}

package translatetest

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// Format writes a fragment as text, one line for each thing in it.
func Format(f model.Fragment) string {
	var b strings.Builder
	for _, p := range f.Parts {
		formatPart(&b, p)
	}
	for _, back := range f.Backends {
		formatBackend(&b, back)
	}
	for _, p := range f.Probes {
		fmt.Fprintf(&b, "probe %s http://%s%s\n", p.Name, netip.AddrPortFrom(p.Address, p.Port), p.Path)
	}
	for _, x := range f.Findings {
		fmt.Fprintf(&b, "finding about %s\n", strings.TrimSpace(x.Origin.Kind+" "+x.Origin.String()))
		formatFinding(&b, x)
	}
	return b.String()
}

func formatPart(b *strings.Builder, p *model.Part) {
	fmt.Fprintf(b, "%s %s", p.Origin.Kind, p.Origin)
	if p.Report {
		b.WriteString(" report")
	}
	if c := p.Origin.Created; !c.IsZero() {
		fmt.Fprintf(b, " created=%s", c.Format("2006-01-02"))
	}
	b.WriteString("\n")
	for _, l := range p.Listeners {
		fmt.Fprintf(b, "  listener %s %s:%d", l.Name, l.Protocol, l.Port)
		option(b, "vip", l.VIP)
		for _, r := range l.SourceRanges {
			option(b, "from", r.String())
		}
		b.WriteString("\n")
	}
	for _, r := range p.Routes {
		formatRoute(b, r)
	}
	for _, f := range p.Findings {
		formatFinding(b, f)
	}
}

func formatRoute(b *strings.Builder, r *model.Route) {
	fmt.Fprintf(b, "  route %s", r.Name)
	if r.Listener == "" {
		kind := "prefix"
		if r.Match.Exact {
			kind = "exact"
		}
		fmt.Fprintf(b, " host=%s %s=%s", cmp.Or(r.Match.Host, "any"), kind, r.Match.Path)
	}
	option(b, "vip", r.VIP)
	if r.Rank == model.DefaultRoute {
		b.WriteString(" default")
	}
	if r.Limit.Rate > 0 {
		fmt.Fprintf(b, " rate=%d", r.Limit.Rate)
	}
	if r.Limit.Connections > 0 {
		fmt.Fprintf(b, " connections=%d", r.Limit.Connections)
	}
	b.WriteString(" ->")
	for _, back := range r.Backends {
		fmt.Fprintf(b, " %s", back.Name)
	}
	if len(r.Backends) == 0 {
		b.WriteString(" 503")
	}
	b.WriteString("\n")
}

func formatBackend(b *strings.Builder, back *model.Backend) {
	fmt.Fprintf(b, "backend %s %s", back.Name, back.Protocol)
	option(b, "balance", back.Balance)
	if back.Affinity != 0 {
		option(b, "affinity", back.Affinity.String())
	}
	if back.SendProxy != 0 {
		option(b, "proxy", fmt.Sprint(back.SendProxy))
	}
	if c := back.Check; c != nil {
		option(b, "check", fmt.Sprintf(":%d%s", c.Port, c.HTTP))
	}
	b.WriteString("\n")
	for _, e := range back.Endpoints {
		fmt.Fprintf(b, "  %s", e.Address)
		option(b, "target", e.Target)
		option(b, "probe", e.Probe)
		if e.Draining {
			b.WriteString(" draining")
		}
		b.WriteString("\n")
	}
}

func formatFinding(b *strings.Builder, f model.Finding) {
	fmt.Fprintf(b, "  ! %s at %s: %s\n", f.Reason, cmp.Or(f.Field, "-"), f.Message)
	fmt.Fprintf(b, "    served: %s\n", cmp.Or(f.Accepted, "nothing of it"))
}

func option(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, " %s=%s", name, value)
	}
}

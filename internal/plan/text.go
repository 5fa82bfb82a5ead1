package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/landfall-edge/landfall/internal/model"
)

// shown is how many endpoints of one backend, or addresses of one listener, a
// line names before it only counts.
const shown = 8

// longest is how many bytes of a name a line shows; Kubernetes' own are shorter.
const longest = 512

// String is the plan for people: one line per step, "+" for what is added, "~"
// for what changes and how, "-" for what is removed. An empty plan is "".
func (p Plan) String() string {
	var b strings.Builder
	write(&b, "listener", p.Listeners, func(l *model.Listener) string { return l.Name }, listenerText, listenerChange)
	write(&b, "route", p.Routes, func(r *model.Route) string { return r.Name }, routeText, routeChange)
	write(&b, "backend", p.Backends, func(b *model.Backend) string { return b.Name }, backendText, backendChange)
	write(&b, "probe", p.Probes, func(p *model.Probe) string { return p.Name }, probeText, probeChange)
	return b.String()
}

func write[T any](b *strings.Builder, kind string, steps []Step[T], name, text func(*T) string, change func(have, want *T) string) {
	for _, s := range steps {
		switch s.Verb {
		case Add:
			fmt.Fprintf(b, "+ %s %s  %s\n", kind, word(name(s.Want)), text(s.Want))
		case Remove:
			fmt.Fprintf(b, "- %s %s\n", kind, word(name(s.Have)))
		case Change:
			fmt.Fprintf(b, "~ %s %s  %s\n", kind, word(name(s.Want)), change(s.Have, s.Want))
		}
	}
}

// word keeps a name on its line whatever is in it, and the line readable.
func word(s string) string {
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == '"' || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func listenerText(l *model.Listener) string {
	text := fmt.Sprintf("%s %s", word(string(l.Protocol)), binds(l))
	if len(l.SourceRanges) > 0 {
		text += "  from " + some(l.SourceRanges, shown, netip.Prefix.String)
	}
	return text
}

// binds is where a listener listens: "*:443", "192.0.2.10:443, [2001:db8::10]:443".
func binds(l *model.Listener) string {
	if len(l.Addresses) == 0 {
		return "*:" + strconv.Itoa(int(l.Port))
	}
	return some(l.Addresses, shown, func(a netip.Addr) string { return netip.AddrPortFrom(a, l.Port).String() })
}

func listenerChange(have, want *model.Listener) string {
	var c changes
	c.add("", binds(have), binds(want))
	c.add("", word(string(have.Protocol)), word(string(want.Protocol)))
	c.add("VIP ", word(have.VIP), word(want.VIP))
	c.add("from ", some(have.SourceRanges, shown, netip.Prefix.String), some(want.SourceRanges, shown, netip.Prefix.String))
	return c.text(have.Origin, want.Origin)
}

func routeText(r *model.Route) string {
	text := fmt.Sprintf("%s %s -> %s", word(r.Listener), matchText(r), targets(r))
	if r.Limit != (model.Limit{}) {
		text += "  each client " + limitText(r.Limit)
	}
	return text
}

// matchText is what a route takes: "shop.example.com/cart", "*/", "=" before an
// exact path, and how strongly when it is no rule that a person wrote.
func matchText(r *model.Route) string {
	switch r.Rank {
	case model.Explicit:
		return hostPath(r)
	case model.DefaultRoute:
		return hostPath(r) + " (default)"
	case model.LastResort:
		return hostPath(r) + " (last resort)"
	}
	return hostPath(r) + " (rank " + strconv.Itoa(int(r.Rank)) + ")"
}

func hostPath(r *model.Route) string {
	host, path := r.Match.Host, r.Match.Path
	if host == "" {
		host = "*"
	}
	if path == "" && r.Protocol != model.TLS {
		path = "/"
	}
	if r.Match.Exact {
		path = "=" + path
	}
	return word(host + path)
}

func targets(r *model.Route) string {
	switch len(r.Backends) {
	case 0:
		return "503"
	case 1:
		return word(r.Backends[0].Name)
	}
	return some(r.Backends, shown, func(b model.WeightedBackend) string {
		return word(b.Name) + " " + strconv.Itoa(b.Weight)
	})
}

func routeChange(have, want *model.Route) string {
	var c changes
	c.add("listener ", word(have.Listener), word(want.Listener))
	c.add("VIP ", word(have.VIP), word(want.VIP))
	c.add("", word(string(have.Protocol)), word(string(want.Protocol)))
	c.add("", matchText(have), matchText(want))
	c.add("to ", targets(have), targets(want))
	c.add("each client ", limitText(have.Limit), limitText(want.Limit))
	return c.text(have.Origin, want.Origin)
}

func backendText(b *model.Backend) string {
	text := word(string(b.Protocol))
	if o := options(b); o != "" {
		text += " " + o
	}
	if len(b.Endpoints) == 0 {
		return text + "  no endpoints"
	}
	return text + "  " + some(b.Endpoints, shown, endpointText)
}

func options(b *model.Backend) string {
	var o []string
	if b.Balance != "" {
		o = append(o, "balance "+word(b.Balance))
	}
	if b.Affinity != 0 {
		o = append(o, "affinity "+b.Affinity.String())
	}
	if b.SendProxy != 0 {
		o = append(o, "PROXY v"+strconv.Itoa(b.SendProxy))
	}
	if b.Check != nil {
		o = append(o, "check "+checkText(b.Check))
	}
	return strings.Join(o, ", ")
}

func checkText(c *model.Check) string {
	text := "tcp"
	if c.HTTP != "" {
		text = "GET " + word(c.HTTP)
	}
	if c.Port != 0 {
		text += " on port " + strconv.Itoa(int(c.Port))
	}
	return text
}

func endpointText(e model.Endpoint) string {
	text := e.Address.String()
	if e.Weight > 1 {
		text += " weight " + strconv.Itoa(e.Weight)
	}
	if e.Draining {
		text += " draining"
	}
	if e.Probe != "" {
		text += " by " + word(e.Probe)
	}
	if e.Target != "" {
		text += " (" + word(e.Target) + ")"
	}
	return text
}

func backendChange(have, want *model.Backend) string {
	var c changes
	c.add("", word(string(have.Protocol)), word(string(want.Protocol)))
	c.add("", options(have), options(want))
	if more := endpointChanges(have.Endpoints, want.Endpoints); more != "" {
		c.lines = append(c.lines, more)
	}
	return c.text(have.Origin, want.Origin)
}

// endpointChanges is "+ 10.1.0.7:8080, - 10.1.0.8:8080, ~ 10.1.0.9:8080 draining".
func endpointChanges(have, want []model.Endpoint) string {
	var all []string
	i, j := 0, 0
	for i < len(have) || j < len(want) {
		switch {
		case j == len(want) || i < len(have) && have[i].Address.Compare(want[j].Address) < 0:
			all = append(all, "- "+have[i].Address.String())
			i++
		case i == len(have) || have[i].Address != want[j].Address:
			all = append(all, "+ "+endpointText(want[j]))
			j++
		default:
			if have[i] != want[j] {
				all = append(all, "~ "+endpointText(want[j]))
			}
			i, j = i+1, j+1
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	return some(all, shown, func(s string) string { return s })
}

func probeText(p *model.Probe) string {
	text := "GET " + netip.AddrPortFrom(p.Address, p.Port).String() + word(p.Path)
	if p.Assumed {
		text += "  assumed up"
	}
	return text
}

func probeChange(have, want *model.Probe) string {
	var c changes
	c.add("", probeText(have), probeText(want))
	return c.text(have.Origin, want.Origin)
}

// changes collects what differs in one object.
type changes struct{ lines []string }

func (c *changes) add(what, have, want string) {
	if have == want {
		return
	}
	if have == "" {
		have = "none"
	}
	if want == "" {
		want = "none"
	}
	c.lines = append(c.lines, what+have+" => "+want)
}

// text joins the changes; the origin is named only when nothing else differs.
func (c *changes) text(have, want model.Origin) string {
	if len(c.lines) == 0 && !equalOrigin(have, want) {
		return "asked for by " + word(want.Key())
	}
	return strings.Join(c.lines, "; ")
}

// some names the first so many and counts the rest.
func some[T any](all []T, most int, text func(T) string) string {
	var b strings.Builder
	for i, v := range all {
		if i == most && len(all) > most+1 {
			fmt.Fprintf(&b, " and %d more", len(all)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text(v))
	}
	return b.String()
}

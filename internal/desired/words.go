package desired

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/landfall-edge/landfall/internal/model"
)

// show keeps words from outside on one line and short.
func show(s string) string {
	const longest = 256
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// quoteWords is what an engine said, on one line.
func quoteWords(s string) string {
	return strconv.Quote(strings.Trim(show(strings.Join(strings.Fields(s), " ")), `"`))
}

func portField(port uint16) string { return "port " + strconv.Itoa(int(port)) }

// matchText is a match as a person would write it: "shop.example.com/cart",
// "any host/", "shop.example.com=/cart" for an exact path, a host alone for TLS.
func matchText(r *model.Route) string {
	m := r.Match
	host := m.Host
	if host == "" {
		host = "*"
	}
	if r.Protocol == model.TLS {
		return show(host)
	}
	if m.Exact {
		host += "="
	}
	return show(host + max(m.Path, "/"))
}

// routeField is where a finding about a route points: its match, or its listener
// when that is what it is of.
func routeField(r *model.Route) string {
	if r.VIP == "" && r.Listener != "" && r.Match == (model.Match{}) {
		return show(r.Listener)
	}
	return matchText(r)
}

// relative names an object as its reader would look for it: the kind and the
// source only where they are not the reader's own.
func relative(o, reader *model.Origin) string {
	name := show(o.String())
	if o.Kind != reader.Kind && o.Kind != "" {
		name = show(o.Kind) + " " + name
	}
	if o.Source != reader.Source && o.Name != "" {
		name += " of source " + show(o.Source)
	}
	return name
}

// because says why the winner wins, after its name.
func because(winner, loser *model.Origin, winnerSource, loserSource int) string {
	switch {
	case winnerSource != loserSource:
		return "whose source comes first in the edge's file"
	case !winner.Created.Equal(loser.Created):
		return "which is older"
	}
	return "whose name comes first"
}

func (r *resolver) unknownVIP(name string) string {
	var names []string
	for _, v := range r.config.vips {
		names = append(names, show(v.Name))
	}
	if len(names) == 0 {
		return fmt.Sprintf("there is no VIP %s, and no other either; add it under vips in the edge's file", show(name))
	}
	return fmt.Sprintf("there is no VIP %s; there is %s; name one of them, or none for %s",
		show(name), strings.Join(names, ", "), names[0])
}

// portMessage says why a listener is not served, or not alone, to reader.
func (r *resolver) portMessage(claim *listenerClaim, reader *model.Origin) string {
	l := claim.listener
	port := fmt.Sprintf("port %d of VIP %s", l.Port, show(l.VIP))
	switch claim.why {
	case aside:
		return setAsideMessage(l.Name, r.setAside[l.Name])
	case reserved:
		return fmt.Sprintf("%s is one of the edge's own sockets (%s); choose another front port, or move the socket in the edge's file, for example admin: {listen: 127.0.0.1:9190}",
			port, r.reserved[claim.by])
	case held:
		return fmt.Sprintf("%s is held by %s; %s", port, holder(r.held[claim.by]), freeIt(r.held[claim.by]))
	case sharedPort:
		return fmt.Sprintf("%s is open here and also held by %s, which takes part of the connections; %s",
			port, holder(r.held[claim.by]), freeIt(r.held[claim.by]))
	case twice:
		return fmt.Sprintf("%s is asked for under a name that is there twice, %s; the first counts", port, show(l.Name))
	case portLost:
		return r.lostPort(port, claim, reader)
	}
	return port + " is not served"
}

func (r *resolver) lostPort(port string, claim *listenerClaim, reader *model.Origin) string {
	winner := &r.listeners[claim.by]
	why := because(winner.origin, claim.origin, winner.source, claim.source)
	switch {
	case winner.part >= 0 && winner.part == claim.part:
		return port + " is asked for twice by the same object; the first counts"
	case winner.part < 0 && claim.part < 0:
		return fmt.Sprintf("%s belongs to VIP %s, whose addresses are the same; give each VIP addresses of its own",
			port, show(winner.listener.VIP))
	case winner.part < 0:
		return fmt.Sprintf("%s serves %s routes, the first of them for %s, %s; choose another front port or VIP; this one takes over when those routes go",
			port, serves(winner.listener), relative(winner.origin, reader), why)
	case claim.part < 0:
		return fmt.Sprintf("%s belongs to %s, %s; move that to another front port, or set %s in the edge's file; %s takes over when it goes",
			port, relative(winner.origin, reader), why, setting(claim.listener), serves(claim.listener))
	}
	return fmt.Sprintf("%s belongs to %s, %s; choose another front port or VIP; this one takes over when that goes",
		port, relative(winner.origin, reader), why)
}

// serves is what a shared listener is for, and setting where its port is set.
func serves(l *model.Listener) string { return strings.ToUpper(string(l.Protocol)) }

func setting(l *model.Listener) string {
	if l.Protocol == model.TLS {
		return "https.port"
	}
	return "http.port"
}

func holder(h model.Held) string {
	owner := h.Owner
	if owner == "" {
		owner = "another process"
	}
	return show(owner) + " on " + netip.AddrPortFrom(h.Address, h.Port).String()
}

// freeIt says how to get a port back.
func freeIt(h model.Held) string {
	switch {
	case strings.HasPrefix(h.Owner, "haproxy"):
		return "stop it: systemctl disable --now haproxy"
	case strings.HasPrefix(h.Owner, "/"):
		return "remove it from that file, or choose another port"
	}
	return "stop it, or choose another port"
}

// routeMessage says why a route is not served; "" when it is as it should be.
func (r *resolver) routeMessage(claim *routeClaim, asked *model.Route) string {
	switch claim.why {
	case noVIP:
		return r.unknownVIP(asked.VIP)
	case off:
		return "HTTP is turned off at this edge; set http.port in its file, for example http: {port: 80}"
	case offTLS:
		return "TLS is turned off at this edge; set https.port in its file, for example https: {port: 443}"
	case aside:
		if claim.route.Name == claim.route.Listener {
			return "" // the listener's finding says it
		}
		return setAsideMessage(claim.route.Name, r.setAside[claim.route.Name])
	case noListener:
		return fmt.Sprintf("there is no listener %s; name one that is there, or none for HTTP", show(claim.route.Listener))
	case twice:
		return fmt.Sprintf("the name %s is there twice; the first counts", show(claim.route.Name))
	case routeLost:
		return r.lostRoute(claim)
	}
	return ""
}

func (r *resolver) lostRoute(claim *routeClaim) string {
	i, _ := r.winner(claim.route, claim.hash)
	winner := &r.routes[i]
	what, choice := routeField(claim.route), "host or path"
	if claim.route.Protocol == model.TLS {
		choice = "host"
	}
	switch ranked := winner.route.Rank != claim.route.Rank; {
	case winner.origin == claim.origin && ranked:
		return "" // an object's own rule comes before its own default backend
	case winner.origin == claim.origin:
		return fmt.Sprintf("%s is there twice in the same object; the first counts", what)
	case ranked:
		return fmt.Sprintf("%s already serves %s by a rule, which comes before a default backend; the default backend takes over when the rule goes",
			relative(winner.origin, claim.origin), what)
	default:
		return fmt.Sprintf("%s, %s, already serves %s; choose another %s; this one takes over when that goes",
			relative(winner.origin, claim.origin), because(winner.origin, claim.origin, winner.source, claim.source), what, choice)
	}
}

func setAsideMessage(name, words string) string {
	return fmt.Sprintf("the engine refused %s, which is set aside so that everything else is served; it said %s", show(name), quoteWords(words))
}

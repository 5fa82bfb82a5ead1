package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// report says of each part what became of it.
func (r *resolver) report(prev *claims) {
	var findings []model.Finding
	outcomes := make([]outcomeOf, 0, len(r.parts))
	for i, p := range r.parts {
		findings = append(findings, p.in.Findings...)
		whole := r.whole(i)
		if !whole {
			findings = append(findings, r.partFindings(i)...)
		}
		if !p.in.Report {
			continue
		}
		o := p.full
		if !whole || o == nil {
			o = p.outcome(r.config, r.listenerReason(i), r.routeReason(i))
			switch {
			case p.full != nil && equalOutcome(o, p.full):
				o = p.full
			case prev != nil:
				o = reuseOutcome(o, p.key, prev.outcomes)
			}
		}
		outcomes = append(outcomes, outcomeOf{p.key, o})
	}
	findings = append(findings, r.defaultFindings()...)
	outcomes = sortRuns(outcomes, func(a, b outcomeOf) int { return strings.Compare(a.key, b.key) })
	for i, o := range outcomes {
		r.twins = r.twins || i > 0 && outcomes[i-1].key == o.key
		r.outcomes = append(r.outcomes, o.outcome)
	}
	if prev != nil && slices.Equal(prev.outcomes, r.outcomes) {
		r.outcomes = prev.outcomes
	}
	r.findings = sortFindings(findings)
}

type outcomeOf struct {
	key     string
	outcome *model.Outcome
}

// reuseOutcome returns the one of the turn before when it is the same.
func reuseOutcome(o *model.Outcome, key string, sorted []*model.Outcome) *model.Outcome {
	var buffer [256]byte
	i, ok := slices.BinarySearchFunc(sorted, key, func(o *model.Outcome, key string) int {
		return strings.Compare(string(appendKey(buffer[:0], &o.Origin)), key)
	})
	if ok && equalOutcome(sorted[i], o) {
		return sorted[i]
	}
	return o
}

// whole reports whether everything of a part is served.
func (r *resolver) whole(i int) bool {
	p, s := r.parts[i], r.starts[i]
	for j := range p.listeners {
		if r.listeners[s.listener+j].why != served {
			return false
		}
	}
	for j := range p.routes {
		claim := &r.routes[s.route+j]
		if claim.why != served || claim.front >= 0 && r.sharedClaim(claim.front).why != served {
			return false
		}
	}
	return true
}

func (r *resolver) sharedClaim(front int) *listenerClaim { return &r.listeners[r.shared[front]] }

func (r *resolver) listenerReason(i int) func(int) reason {
	return func(j int) reason { return r.listeners[r.starts[i].listener+j].why }
}

// routeReason is why a route is not served; for one without its listener, why
// the listener is not.
func (r *resolver) routeReason(i int) func(int) reason {
	return func(j int) reason {
		claim := &r.routes[r.starts[i].route+j]
		if claim.why == listenerNo {
			return r.listeners[claim.listener].why
		}
		return claim.why
	}
}

// partFindings are about whatever of a part is not served as it was asked for.
func (r *resolver) partFindings(i int) []model.Finding {
	p, s := r.parts[i], r.starts[i]
	var findings []model.Finding
	add := func(field string, why reason, message string) {
		findings = append(findings, model.Finding{Origin: p.in.Origin, Field: field, Reason: why.finding(), Message: message})
	}
	for j := range p.listeners {
		claim := &r.listeners[s.listener+j]
		if claim.why == served {
			continue
		}
		if claim.listener == nil {
			add(portField(p.in.Listeners[j].Port), noVIP, r.unknownVIP(p.in.Listeners[j].VIP))
			continue
		}
		add(portField(claim.listener.Port), claim.why, r.portMessage(claim, &p.in.Origin))
	}
	for j := range p.routes {
		claim := &r.routes[s.route+j]
		switch claim.why {
		case served:
			if claim.front < 0 || r.sharedClaim(claim.front).why == served {
				continue
			}
			if shared := r.sharedClaim(claim.front); shared.origin == &p.in.Origin {
				add(portField(shared.listener.Port), shared.why, r.portMessage(shared, &p.in.Origin))
			}
		case listenerNo:
			if claim.front >= 0 {
				shared := r.sharedClaim(claim.front)
				add(portField(shared.listener.Port), shared.why, serves(shared.listener)+" routes are not served: "+r.portMessage(shared, &p.in.Origin))
			}
		default:
			if message := r.routeMessage(claim, p.in.Routes[j]); message != "" {
				add(routeField(p.in.Routes[j]), claim.why, message)
			}
		}
	}
	accepted := r.accepted(i)
	for j := range findings {
		findings[j].Accepted = accepted
	}
	return findings
}

// accepted names what of a part is served.
func (r *resolver) accepted(i int) string {
	const shown = 3
	p, s := r.parts[i], r.starts[i]
	var all []string
	for j, l := range p.listeners {
		if r.listeners[s.listener+j].why.open() {
			all = append(all, fmt.Sprintf("port %d of VIP %s", l.Port, show(l.VIP)))
		}
	}
	for j, route := range p.routes {
		if claim := &r.routes[s.route+j]; claim.why == served && claim.front >= 0 {
			all = append(all, matchText(route))
		}
	}
	if len(all) > shown+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}

// defaultFindings are about the default backend of the edge's file.
func (r *resolver) defaultFindings() []model.Finding {
	if r.def.name == "" {
		return nil
	}
	tell := func(why, message string) []model.Finding {
		return []model.Finding{{Origin: fileOrigin(), Field: "defaultBackend", Reason: why, Message: message}}
	}
	if r.config.httpPort == 0 {
		return tell(off.word(), "the default backend answers HTTP requests, and HTTP is turned off; set http.port, for example http: {port: 80}, or remove defaultBackend")
	}
	if len(r.shared) == 0 {
		return nil
	}
	if name := r.config.vips[0].Name + "/default"; r.setAside[name] != "" {
		return tell(aside.word(), setAsideMessage(name, r.setAside[name]))
	}
	if r.shared[0] >= 0 {
		claim := r.sharedClaim(0)
		if !claim.why.open() || claim.why == sharedPort && claim.origin == &r.def.origin {
			return tell(claim.why.finding(), "for the default backend: "+r.portMessage(claim, &r.def.origin))
		}
	}
	return nil
}

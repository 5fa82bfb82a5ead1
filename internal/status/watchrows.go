package status

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// What becomes a line of a watched edge.

func listenersNow(s Status, r *Rates) section {
	out := section{title: "listeners", labels: 2, columns: []string{"open", "per s", "5xx/s", "in/s", "out/s"}}
	for _, l := range s.Listeners {
		rate, known := r.listener(l.Name)
		shut := l.Open != nil && !*l.Open
		e := entry{busy: rate.Requests, open: l.Sessions, name: l.Name}
		switch {
		case shut:
			e.bad = 2
		case rate.Errors5xx > 0:
			e.bad = 1
		}
		e.row = func() []cell {
			where := sockets(l)
			label := cell{where[0], plain}
			if more := len(where) - 1; more > 0 {
				label.text += fmt.Sprintf(" +%d", more)
			}
			what := cell{string(l.Protocol), faint}
			if l.Protocol == model.TCP {
				what = cell{l.Object, plain}
			}
			if shut {
				return []cell{label, what, {"not open", red}}
			}
			return []cell{
				label, what, count(l.Sessions), traffic(rate.Requests, l.Protocol, known),
				fault(rate.Errors5xx, known), flow(rate.BytesIn, known), flow(rate.BytesOut, known),
			}
		}
		out.entries = append(out.entries, e)
	}
	return out
}

func failing(rate Rate) bool { return rate.Errors5xx > 0 || rate.FailedConnects > 0 }

func backendsNow(s Status, r *Rates) section {
	out := section{title: "backends", labels: 1, columns: []string{"health", "open", "per s", "5xx/s", "fail/s", "retry/s"}}
	for _, b := range s.Backends {
		rate, known := r.backend(b.Name)
		t := tallyOf(b)
		e := entry{busy: rate.Requests, open: b.Sessions, name: b.Name}
		switch {
		case !t.unknown && t.up == 0:
			e.bad = 3
		case failing(rate):
			e.bad = 2
		case t.unknown || t.up < t.total:
			e.bad = 1
		}
		e.row = func() []cell {
			return []cell{
				{b.Name, plain},
				t.cell(), count(b.Sessions), traffic(rate.Requests, b.Protocol, known),
				fault(rate.Errors5xx, known), fault(rate.FailedConnects, known), fault(rate.Retries, known),
			}
		}
		out.entries = append(out.entries, e)
	}
	return out
}

func endpointsNow(s Status, r *Rates) section {
	out := section{title: "endpoints", labels: 2, columns: []string{"health", "open", "per s", "5xx/s", "fail/s"}}
	for _, b := range s.Backends {
		for _, x := range b.Endpoints {
			rate, known := r.endpoint(b.Name, x.Address)
			e := entry{busy: rate.Requests, open: x.Sessions, name: b.Name + " " + x.Address.String()}
			switch {
			case x.Health == "down":
				e.bad = 3
			case failing(rate):
				e.bad = 2
			case x.Health != "up" && x.Health != "unchecked":
				e.bad = 1
			}
			e.row = func() []cell {
				return []cell{
					{x.Address.String(), plain},
					{b.Name, faint},
					healthCell(x.Health), count(x.Sessions),
					traffic(rate.Requests, b.Protocol, known), fault(rate.Errors5xx, known), fault(rate.FailedConnects, known),
				}
			}
			out.entries = append(out.entries, e)
		}
	}
	return out
}

func findingsNow(s Status) section {
	out := section{title: "findings", labels: 3}
	for i, f := range s.Findings {
		out.entries = append(out.entries, entry{
			busy: float64(-i), // in their order
			row:  func() []cell { return []cell{{"! " + who(f), plain}, {f.Reason, yellow}, {f.Message, plain}} },
		})
	}
	return out
}

func changesNow(s Status) section {
	out := section{title: "last changes", labels: 4}
	for i, c := range s.Changes[:min(len(s.Changes), tableChanges)] {
		out.entries = append(out.entries, entry{busy: float64(-i), row: func() []cell { return changeRow(c, s.At) }})
	}
	return out
}

func (r *Rates) listener(name string) (rate Rate, known bool) {
	if r == nil {
		return rate, false
	}
	return r.Listeners[name], true
}

func (r *Rates) backend(name string) (rate Rate, known bool) {
	if r == nil {
		return rate, false
	}
	return r.Backends[name], true
}

func (r *Rates) endpoint(backend string, a netip.AddrPort) (rate Rate, known bool) {
	if r == nil {
		return rate, false
	}
	return r.Endpoints[backend][a], true
}

func count(n int64) cell {
	if n == 0 {
		return cell{"0", faint}
	}
	return cell{fmt.Sprint(n), plain}
}

// unknownRate stands where there is nothing yet to compare with.
const unknownRate = "-"

func traffic(rate float64, p model.Protocol, known bool) cell {
	unit := " req"
	if p == model.TCP || p == model.TLS {
		unit = " conn"
	}
	return shown(figure(rate)+unit, rate, known, bold)
}

func fault(rate float64, known bool) cell { return shown(figure(rate), rate, known, red) }

func flow(rate float64, known bool) cell { return shown(size(rate), rate, known, plain) }

func shown(text string, rate float64, known bool, p paint) cell {
	switch {
	case !known:
		return cell{unknownRate, faint}
	case rate == 0:
		return cell{text, faint}
	}
	return cell{text, p}
}

// figure shows a rate with the digits that matter; what is not 0 does not look like it.
func figure(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 0.1:
		return "<0.1"
	case rate < 9.95:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", rate), ".0")
	default:
		return fmt.Sprintf("%.0f", rate)
	}
}

// size shows bytes in the unit that a person would use.
func size(bytes float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if bytes < 999.5 {
			if unit == "B" || bytes >= 9.95 {
				return fmt.Sprintf("%.0f %s", bytes, unit)
			}
			return fmt.Sprintf("%.1f %s", bytes, unit)
		}
		bytes /= 1000
	}
	return fmt.Sprintf("%.1f TB", bytes)
}

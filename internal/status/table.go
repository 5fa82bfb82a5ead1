package status

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
)

// tableChanges is how many of the last changes a table shows; JSON has them all.
const tableChanges = 10

// Format is how a table is written.
type Format struct {
	Width  int  // of the terminal; 0 cuts nothing
	Height int  // of what WatchTable writes; 0 is a fixed number of lines per section
	Color  bool // with the colours of a terminal
}

// Table is the status for people.
func Table(s Status, f Format) string {
	p := &page{width: f.Width, color: f.Color}
	up := tallies(s)
	p.headline(s, up)
	p.where(s)
	p.listeners(s, up)
	p.routes(s, up)
	p.backends(s, up)
	p.registrations(s)
	p.findings(s)
	p.changes(s)
	return p.b.String()
}

// tally counts endpoints that take traffic.
type tally struct {
	up, total int
	unknown   bool
}

func (t tally) cell() cell {
	text := fmt.Sprintf("%d/%d up", t.up, t.total)
	switch {
	case t.total == 0:
		return cell{"no endpoints", red}
	case t.unknown:
		return cell{fmt.Sprintf("?/%d up", t.total), yellow}
	case t.up == 0:
		return cell{text, red}
	case t.up < t.total:
		return cell{text, yellow}
	default:
		return cell{text, green}
	}
}

func tallyOf(b Backend) tally {
	t := tally{total: b.Total, unknown: b.Up == nil}
	if b.Up != nil {
		t.up = *b.Up
	}
	return t
}

func tallies(s Status) map[string]tally {
	out := make(map[string]tally, len(s.Backends))
	for _, b := range s.Backends {
		out[b.Name] = tallyOf(b)
	}
	return out
}

func (p *page) headline(s Status, up map[string]tally) {
	state := cell{"ready", green}
	if !s.Ready {
		state = cell{"not ready", red}
	}
	name := s.Edge
	if name == "" {
		name = "edge"
	}
	p.line(cell{name, bold}, cell{"  ", plain}, state, cell{", for " + span(s.At.Sub(s.Started)), plain})
	for _, w := range s.Waiting {
		p.wrap(2, cell{"waiting: " + w, yellow})
	}
	var all tally
	for _, t := range up {
		all.up, all.total = all.up+t.up, all.total+t.total
		all.unknown = all.unknown || t.unknown
	}
	known := strconv.Itoa(all.up)
	if all.unknown {
		known = "?"
	}
	listeners, none := Count(len(s.Listeners), "listener"), false
	if shut := closed(s.Listeners); shut > 0 {
		listeners += fmt.Sprintf(" (%d not open)", shut)
		none = shut == len(s.Listeners)
	}
	if none || len(s.Listeners) == 0 && len(s.Findings) > 0 {
		p.wrap(2, cell{"nothing is served" + seeFindings(s), red})
	}
	if s.Routes != nil {
		listeners += ", " + Count(len(ownLine(s.Routes)), "route")
	}
	p.wrap(2, cell{fmt.Sprintf("%s, %s, %s of %s up, %s", listeners,
		Count(len(s.Backends), "backend"), known, Count(all.total, "endpoint"), Count(len(s.Findings), "finding")), plain})
	p.engine(s.HAProxy)
}

// closed counts the listeners that the engine has not opened.
func closed(listeners []Listener) int {
	n := 0
	for _, l := range listeners {
		if l.Open != nil && !*l.Open {
			n++
		}
	}
	return n
}

func seeFindings(s Status) string {
	if len(s.Findings) == 0 {
		return ""
	}
	return "; see the findings below"
}

// ownLine are the routes that have a line of their own. The one route of a TCP
// listener, which has its name, is told with it.
func ownLine(all []Route) []Route {
	return slices.DeleteFunc(slices.Clone(all), func(r Route) bool { return r.Name == r.Listener })
}

func (p *page) engine(h HAProxy) {
	if h.Error != "" {
		p.wrap(2, cell{"HAProxy does not answer: " + h.Error, red})
		return
	}
	if h.Version == "" {
		return
	}
	text := fmt.Sprintf("HAProxy %s, %s", h.Version, Count(h.Reloads, "reload"))
	old, open, finishing := 0, 0, 0
	for _, w := range h.Workers {
		if w.Old {
			old++
			finishing += w.Connections
		} else {
			open += w.Connections
		}
	}
	text += ", " + connections(open, h.MaxConnections)
	if h.Spares > 0 {
		text += fmt.Sprintf(", %d of %s free", h.FreeSpares, Count(h.Spares, "spare backend"))
	}
	if h.NodeSlots > 0 {
		text += fmt.Sprintf(", %d of %s free", h.FreeNodeSlots, Count(h.NodeSlots, "spare probe"))
	}
	if len(h.Workers) == old {
		text = "HAProxy " + h.Version + " is not running"
	}
	if old > 0 {
		text += fmt.Sprintf("; %s left to finish", Count(old, "old worker"))
		if finishing > 0 {
			text += " " + Count(finishing, "connection")
		}
	}
	p.wrap(2, cell{text, plain})
}

func connections(n, limit int) string {
	if limit > 0 {
		return fmt.Sprintf("%d of %s", n, Count(limit, "connection"))
	}
	return Count(n, "connection")
}

// where shows the VIPs and the sources, with which everything begins.
func (p *page) where(s Status) {
	p.title("VIPs", len(s.VIPs))
	var rows [][]cell
	for _, v := range s.VIPs {
		rows = append(rows, []cell{{v.Name, plain}, {joinAddrs(v.Addresses), plain}})
		if v.Any {
			rows[len(rows)-1][1].text += " (every address of this machine)"
		}
	}
	p.table(2, rows)
	p.title("sources", len(s.Sources))
	rows = nil
	for _, src := range s.Sources {
		state := cell{"synced", green}
		switch {
		case src.Stale:
			state = cell{"stale", yellow}
		case !src.Synced:
			state = cell{"not synced", red}
		}
		rows = append(rows, []cell{{src.Name, plain}, state})
	}
	p.table(2, rows)
	for _, src := range s.Sources {
		if src.Message != "" {
			p.wrap(4, cell{src.Name + ": " + src.Message, yellow})
		}
	}
}

func (p *page) listeners(s Status, up map[string]tally) {
	p.title("listeners", len(s.Listeners))
	if len(s.Listeners) == 0 {
		p.line(cell{"  nothing is served", yellow})
	}
	targets, routes := map[string]string{}, map[string]int{}
	for _, r := range s.Routes {
		routes[r.Listener]++
		if len(r.Backends) > 0 {
			targets[r.Listener] = r.Backends[0].Name
		}
	}
	var rows [][]cell
	for _, l := range s.Listeners {
		what := cell{Count(routes[l.Name], "route"), plain}
		var health cell
		if l.Protocol == model.TCP {
			what.text = l.Object
			health = up[targets[l.Name]].cell()
		}
		if l.Open != nil && !*l.Open {
			health = cell{"not open", red}
		}
		for i, where := range sockets(l) {
			row := []cell{{where, plain}, {string(l.Protocol), faint}, what, health}
			if i > 0 {
				row = row[:1]
			}
			rows = append(rows, row)
		}
	}
	p.table(2, rows)
}

func sockets(l Listener) []string {
	if len(l.Addresses) == 0 {
		return []string{"*:" + strconv.Itoa(int(l.Port))}
	}
	out := make([]string, len(l.Addresses))
	for i, a := range l.Addresses {
		out[i] = netip.AddrPortFrom(a, l.Port).String()
	}
	return out
}

func (p *page) routes(s Status, up map[string]tally) {
	own := ownLine(s.Routes)
	if len(own) == 0 {
		return
	}
	p.title("routes", len(own))
	var rows [][]cell
	for _, r := range own {
		rows = append(rows, routeRows(r, up)...)
	}
	p.table(2, rows)
}

// routeRows is a line for each backend of a route.
func routeRows(r Route, up map[string]tally) [][]cell {
	match := r.Host
	if match == "" {
		match = "*"
	}
	match += r.Path
	if r.Exact {
		match += " (exactly)"
	}
	if len(r.Backends) == 0 {
		return [][]cell{{{match, plain}, {"-> 503: nothing is there to answer", red}}}
	}
	rows := make([][]cell, len(r.Backends))
	for i, b := range r.Backends {
		to := "-> " + b.Name
		if len(r.Backends) > 1 {
			to = fmt.Sprintf("-> %d %s", b.Weight, b.Name)
		}
		rows[i] = []cell{{match, plain}, {to, plain}, up[b.Name].cell()}
		match = ""
	}
	return rows
}

func (p *page) backends(s Status, up map[string]tally) {
	if len(s.Backends) == 0 {
		return
	}
	p.title("backends", len(s.Backends))
	for _, b := range s.Backends {
		p.table(2, [][]cell{{{b.Name, bold}, {string(b.Protocol), faint}, {b.Balance, faint}, up[b.Name].cell()}})
		var rows [][]cell
		for _, e := range b.Endpoints {
			rows = append(rows, []cell{
				{e.Address.String(), plain},
				healthCell(e.Health),
				{fmt.Sprintf("%d open, %d served", e.Sessions, e.Requests), faint},
				{e.Target, plain},
			})
		}
		p.table(4, rows)
	}
}

func healthCell(health string) cell {
	switch health {
	case "up":
		return cell{health, green}
	case "down":
		return cell{health, red}
	case "unchecked":
		return cell{health, plain}
	default:
		return cell{health, yellow}
	}
}

func (p *page) findings(s Status) {
	if len(s.Findings) == 0 {
		return
	}
	p.title("findings", len(s.Findings))
	for _, f := range s.Findings {
		p.line(cell{"  ! ", yellow}, cell{who(f), bold}, cell{"  " + f.Reason, yellow})
		if f.Field != "" {
			p.wrap(4, cell{f.Field, faint})
		}
		p.wrap(4, cell{f.Message, plain})
		if f.Accepted != "" {
			p.wrap(4, cell{"Served all the same: " + f.Accepted, faint})
		}
	}
}

// who is the object of a finding.
func who(f Finding) string {
	o := model.Origin{Source: f.Source, Kind: f.Kind, Namespace: f.Namespace, Name: f.Name}
	if f.Kind != "" {
		return f.Kind + " " + o.String()
	}
	return o.String()
}

func (p *page) changes(s Status) {
	if len(s.Changes) == 0 {
		return
	}
	p.title("last changes", len(s.Changes))
	shown := s.Changes[:min(len(s.Changes), tableChanges)]
	rows := make([][]cell, 0, len(shown))
	for _, c := range shown {
		rows = append(rows, changeRow(c, s.At))
	}
	p.table(2, rows)
}

func changeRow(c Change, now time.Time) []cell {
	way := cell{string(c.Way), green}
	if c.Way != engine.Runtime {
		way.paint = yellow
	}
	what := cell{c.Objects, plain}
	if c.Way == engine.Reload {
		what.text += " (" + c.Cause + ")"
	}
	return []cell{{ago(now.Sub(c.At)), plain}, {millis(c.MS), plain}, way, what}
}

func joinAddrs(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

package haproxy

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
)

// The rows of "show stat" that are no servers.
const (
	frontendRow = "/FRONTEND"
	backendRow  = "/BACKEND"
)

// Stats is engine.Monitor's. It asks once, so that all that is counted is one
// worker's.
func (e *Engine) Stats(ctx context.Context, depth engine.Depth) (engine.Stats, error) {
	if err := e.lockWithin(ctx); err != nil {
		return engine.Stats{Name: "haproxy", Version: e.Version()}, err
	}
	running, have, spares := e.running, e.have, e.running.loaded.Spares
	free, bound := len(e.names.freeSpares(spares)), names{bindings: e.names.clone()}
	slots, freeSlots := bound.idleSlots(running.loaded)
	e.mu.Unlock()
	s := engine.Stats{
		Name:      "haproxy",
		Version:   e.Version(),
		Reloads:   running.reloads,
		Backends:  map[string]engine.BackendStats{},
		Listeners: map[string]engine.ListenerStats{},
	}
	if !running.up {
		return s, nil
	}
	s.Spares, s.FreeSpares = spares, free
	s.NodeSlots, s.FreeNodeSlots = slots, freeSlots
	reply, err := e.stats.ask(ctx, "show info;show stat -1 "+rowTypes(depth)+" -1")
	if err != nil {
		return s, err
	}
	text, rows := nextReply(reply)
	info := parseInfo(text)
	s.Version = cmp.Or(info["Version"], s.Version) // another may be installed since
	s.MaxConnections, _ = strconv.Atoi(info["Maxconn"])
	if s.Workers, err = e.askWorkers(ctx, info); err != nil {
		return s, err
	}
	stats, err := parseStat(rows)
	if err != nil {
		return s, err
	}
	for _, l := range have.Listeners {
		_, open := running.loaded.Listeners[l.Name]
		s.Listeners[l.Name] = engine.ListenerStats{Open: open, Counters: stats[frontend(l.Name)+frontendRow].of(l.Protocol)}
	}
	for _, b := range have.Backends {
		if row, ok := stats[bound.backend(b.Name)+backendRow]; ok {
			s.Backends[b.Name] = engine.BackendStats{Active: row.active, Counters: row.Counters}
		}
	}
	if depth == engine.Whole {
		return s, e.endpointStats(ctx, have.Backends, stats, s.Backends)
	}
	return s, nil
}

// lockWithin takes the lock. Whoever only wants to know how things are does not
// wait for as long as a change of a HAProxy that hangs does.
func (e *Engine) lockWithin(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !e.mu.TryLock() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("HAProxy is being asked or changed, and has not answered yet")
		}
	}
	return nil
}

// rowTypes are the kinds of rows to ask for (management guide, section 9.3,
// "show stat"): 1 is frontends, 2 backends, 4 servers.
func rowTypes(depth engine.Depth) string {
	if depth == engine.Whole {
		return "7"
	}
	return "3"
}

// endpointStats fills in the endpoints of backends.
func (e *Engine) endpointStats(ctx context.Context, backends []*model.Backend, stats map[string]statRow, into map[string]engine.BackendStats) error {
	if err := e.lockWithin(ctx); err != nil {
		return err
	}
	defer e.mu.Unlock()
	for _, b := range backends {
		all, be := into[b.Name], e.names.backend(b.Name)
		all.Endpoints = make(map[netip.AddrPort]engine.EndpointStats, len(b.Endpoints))
		for _, x := range b.Endpoints {
			row, ok := stats[be+"/"+e.names.of(be, x.Address)]
			if !ok {
				continue
			}
			one := engine.EndpointStats{Health: row.health, Counters: row.Counters}
			if x.Draining {
				one.Health = "drain"
			}
			all.Endpoints[x.Address] = one
		}
		into[b.Name] = all
	}
	return nil
}

// askWorkers asks who lives; the first is the one that info is of.
func (e *Engine) askWorkers(ctx context.Context, info map[string]string) ([]engine.Worker, error) {
	current, err := strconv.Atoi(info["Pid"])
	if err != nil {
		return nil, errors.New("read HAProxy's answer to \"show info\": it names no pid")
	}
	connections, _ := strconv.Atoi(info["CurrConns"])
	all := []engine.Worker{{PID: current, Connections: connections}}
	procs, err := e.master.ask(ctx, "show proc")
	if err != nil {
		return all, err
	}
	_, workers := parseProcesses(procs)
	for _, w := range workers {
		if w.pid != current {
			all = append(all, engine.Worker{PID: w.pid, Old: true})
		}
	}
	return all, nil
}

// statRow is what one row of "show stat" says.
type statRow struct {
	health   string // of a server
	active   int    // servers of a backend
	requests int64  // of an HTTP frontend, whose Counters count connections
	engine.Counters
}

// of are the counters of a frontend by what it speaks.
func (r statRow) of(p model.Protocol) engine.Counters {
	if p == model.HTTP {
		r.Requests = r.requests
	}
	return r.Counters
}

// parseStat reads "show stat" (management guide, section 9.1): "<proxy>/<FRONTEND,
// BACKEND or server>" -> row.
func parseStat(reply string) (map[string]statRow, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimLeft(reply, "\n"), "# ")))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	at := statColumns(head)
	stats := map[string]statRow{}
	for {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			return stats, nil
		}
		if err != nil {
			return nil, err
		}
		stats[at.text(f, at.proxy)+"/"+at.text(f, at.name)] = at.row(f)
	}
}

// columns are where the fields of a row stand; -1 where a version has none.
type columns struct {
	proxy, name, status, active                       int
	sessions, total, requests, errors, fails, retries int
	bytesIn, bytesOut                                 int
}

func statColumns(head []string) columns {
	column := make(map[string]int, len(head))
	for i, name := range head {
		column[name] = i
	}
	at := func(name string) int {
		if i, ok := column[name]; ok {
			return i
		}
		return -1
	}
	return columns{
		proxy: at("pxname"), name: at("svname"), status: at("status"), active: at("act"),
		sessions: at("scur"), total: at("stot"), requests: at("req_tot"),
		errors: at("hrsp_5xx"), fails: at("econ"), retries: at("wretr"),
		bytesIn: at("bin"), bytesOut: at("bout"),
	}
}

func (c columns) text(f []string, i int) string {
	if i < 0 || i >= len(f) {
		return ""
	}
	return f[i]
}

func (c columns) number(f []string, i int) int64 {
	n, _ := strconv.ParseInt(c.text(f, i), 10, 64) // empty where it counts nothing
	return n
}

func (c columns) row(f []string) statRow {
	return statRow{
		health: health(c.text(f, c.status)), active: int(c.number(f, c.active)), requests: c.number(f, c.requests),
		Counters: engine.Counters{
			Sessions: c.number(f, c.sessions), Requests: c.number(f, c.total), Errors5xx: c.number(f, c.errors),
			FailedConnects: c.number(f, c.fails), Retries: c.number(f, c.retries),
			BytesIn: c.number(f, c.bytesIn), BytesOut: c.number(f, c.bytesOut),
		},
	}
}

// health turns HAProxy's words into ours.
func health(status string) string {
	switch {
	case status == "no check":
		return "unchecked"
	case strings.HasPrefix(status, "UP"), strings.HasPrefix(status, "NOLB"):
		return "up"
	case strings.HasPrefix(status, "MAINT"), strings.HasPrefix(status, "DRAIN"):
		return "drain"
	default:
		return "down"
	}
}

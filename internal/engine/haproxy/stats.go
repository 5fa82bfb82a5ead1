package haproxy

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/engine"
)

// Stats is engine.Monitor's.
func (e *Engine) Stats(ctx context.Context) (engine.Stats, error) {
	e.mu.Lock()
	running, have, names, spares := e.running, e.have, e.names, e.disk.settings.Spares
	free := len(names.freeSpares(spares))
	e.mu.Unlock()
	s := engine.Stats{
		Name:      "haproxy",
		Version:   e.Version(),
		Reloads:   running.reloads,
		Backends:  map[string]map[netip.AddrPort]engine.EndpointStats{},
		Listeners: map[string]bool{},
	}
	if !running.up {
		return s, nil
	}
	s.Spares, s.FreeSpares = spares, free
	for _, l := range have.Listeners {
		_, s.Listeners[l.Name] = running.loaded.Listeners[l.Name]
	}
	var err error
	if s.Workers, err = e.askWorkers(ctx, running.pid); err != nil {
		return s, err
	}
	reply, err := e.stats.ask(ctx, "show stat -1 4 -1") // servers of all proxies
	if err != nil {
		return s, err
	}
	stats, err := parseStat(reply)
	if err != nil {
		return s, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range have.Backends {
		endpoints := make(map[netip.AddrPort]engine.EndpointStats, len(b.Endpoints))
		for _, x := range b.Endpoints {
			be := names.backend(b.Name)
			st, ok := stats[be+"/"+names.of(be, x.Address)]
			if !ok {
				continue
			}
			if x.Draining {
				st.Health = "drain"
			}
			endpoints[x.Address] = st
		}
		s.Backends[b.Name] = endpoints
	}
	return s, nil
}

// askWorkers asks who lives, the current worker first.
func (e *Engine) askWorkers(ctx context.Context, current int) ([]engine.Worker, error) {
	info, err := e.stats.ask(ctx, "show info")
	if err != nil {
		return nil, err
	}
	connections, _ := strconv.Atoi(parseInfo(info)["CurrConns"])
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

// parseStat reads the servers of "show stat" (management guide, section 9.1).
func parseStat(reply string) (map[string]engine.EndpointStats, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(reply, "# ")))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for i, name := range head {
		column[name] = i
	}
	stats := map[string]engine.EndpointStats{}
	for {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			return stats, nil
		}
		if err != nil {
			return nil, err
		}
		get := func(name string) string {
			if i, ok := column[name]; ok && i < len(f) {
				return f[i]
			}
			return ""
		}
		sessions, _ := strconv.ParseInt(get("scur"), 10, 64)
		requests, _ := strconv.ParseInt(get("stot"), 10, 64)
		stats[get("pxname")+"/"+get("svname")] = engine.EndpointStats{
			Health: health(get("status")), Sessions: sessions, Requests: requests,
		}
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

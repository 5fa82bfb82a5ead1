package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/landfall-edge/landfall/internal/model"
)

const (
	// healthEvery is the longest time until a change of a probe is seen; the log
	// of HAProxy tells most of them at once.
	healthEvery = 500 * time.Millisecond
	// assumedEvery is how often nodes that are assumed to be up are asked.
	assumedEvery = 2 * time.Second
	// logLineLimit is what is passed on of a line of HAProxy's log.
	logLineLimit = 2 << 10
	// extrasEvery is how often the operator's files are looked at.
	extrasEvery = 2 * time.Second
)

// monitor is what is known of the health of probes.
type monitor struct {
	mu     sync.Mutex
	probes map[string]*model.Probe
	okPort uint16
	health map[string]model.ProbeHealth
	asked  chan struct{} // look now
}

func newMonitor() monitor {
	return monitor{health: map[string]model.ProbeHealth{}, asked: make(chan struct{}, 1)}
}

// wanted tells which probes there are.
func (m *monitor) wanted(probes []*model.Probe, s Settings) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := make(map[string]*model.Probe, len(probes))
	news := false
	for _, p := range probes {
		now[p.Name] = p
		news = news || m.probes[p.Name] != p
	}
	for name := range m.health {
		// Another node of the same name starts anew.
		before, after := m.probes[name], now[name]
		if after == nil || before != nil && (before.Address != after.Address || before.Port != after.Port) {
			delete(m.health, name)
		}
	}
	m.probes, m.okPort = now, s.OKPort
	if news {
		m.ask()
	}
}

func (m *monitor) ask() {
	select {
	case m.asked <- struct{}{}:
	default:
	}
}

func (m *monitor) snapshot() map[string]*model.Probe {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.probes
}

// set notes the health of a probe and reports whether that is news.
func (m *monitor) set(name string, up bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.health[name]
	now := model.ProbeHealth{Answered: before.Answered || up, Up: up}
	m.health[name] = now
	return !known || now != before
}

// Health is engine.Monitor's.
func (e *Engine) Health() map[string]model.ProbeHealth {
	e.monitor.mu.Lock()
	defer e.monitor.mu.Unlock()
	return maps.Clone(e.monitor.health)
}

// Run is engine.Monitor's.
func (e *Engine) Run(ctx context.Context, changed func()) error {
	logs, err := e.listenLog(ctx)
	if err != nil {
		return err
	}
	defer logs.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.readLog(ctx, logs) })
	g.Go(func() error { return e.watchHealth(ctx, changed) })
	g.Go(func() error { return e.watchAssumed(ctx, changed) })
	g.Go(func() error { return e.watchExtras(ctx, changed) })
	g.Go(func() error { return e.watchDeath(ctx, changed) })
	g.Go(func() error { return e.patrol(ctx, changed) })
	g.Go(func() error { return e.writeBehind(ctx) })
	return g.Wait()
}

// listenLog opens the socket that HAProxy sends its log to. Without an agent
// nobody listens, and HAProxy drops the lines.
func (e *Engine) listenLog(ctx context.Context) (*net.UnixConn, error) {
	path := e.disk.settings.socket(logSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open log socket: %w", err)
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "unixgram", path)
	if err != nil {
		return nil, fmt.Errorf("open log socket: %w", err)
	}
	if err := e.giveToWorkers(path); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open log socket: %w", err)
	}
	return conn.(*net.UnixConn), nil
}

// giveToWorkers lets workers, and nobody else, write to a socket.
func (e *Engine) giveToWorkers(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	name := e.disk.settings.User
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, -1)
}

// syslogHead is what precedes the text of a line (RFC 3164).
var syslogHead = regexp.MustCompile(`^<\d+>[A-Z][a-z]{2} [ \d]\d [\d:]{8} [^ ]+: `)

// readLog passes HAProxy's log on to ours, and has the health looked at when it
// tells that a server changed.
func (e *Engine) readLog(ctx context.Context, logs *net.UnixConn) error {
	stop := context.AfterFunc(ctx, func() { _ = logs.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := logs.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read HAProxy's log: %w", err)
		}
		n = min(n, logLineLimit)
		text := strings.TrimSpace(syslogHead.ReplaceAllString(string(buf[:n]), ""))
		e.log.Info("log", "component", "haproxy", "text", text)
		if strings.Contains(text, probesPrefix) {
			e.monitor.ask()
		}
	}
}

// watchHealth keeps Health fresh and deletes servers that became idle.
func (e *Engine) watchHealth(ctx context.Context, changed func()) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-e.monitor.asked:
		}
		if e.lookAtProbes(ctx) {
			changed()
		}
		e.bury(ctx)
	}
}

// lookAtProbes asks for the state of every probe that is not assumed, and
// reports news.
func (e *Engine) lookAtProbes(ctx context.Context) bool {
	probes := e.monitor.snapshot()
	backends := map[string]bool{}
	for _, p := range probes {
		if !p.Assumed {
			backends[probeBackend(p)] = true
		}
	}
	news := false
	n := e.currentNames()
	for be := range backends {
		reply, err := e.stats.ask(ctx, "show servers state "+be)
		if err != nil {
			return news // its death is watched elsewhere
		}
		byName := map[string]server{}
		for _, s := range parseServers(reply) {
			byName[s.name] = s
		}
		for name, p := range probes {
			s, ok := byName[n.probe(name)]
			real := netip.AddrPortFrom(p.Address.Unmap(), p.Port)
			if ok && probeBackend(p) == be && s.checked && s.checkAddress == real && !p.Assumed {
				news = e.monitor.set(name, s.up) || news
			}
		}
	}
	return news
}

// bury deletes servers whose endpoints left, once they are idle. One that is not
// stays for the next time. Nobody else waits for more than one line of them.
func (e *Engine) bury(ctx context.Context) {
	const atOnce = 50
	for batch := range slices.Chunk(e.leaving(), atOnce) {
		if !e.buryThese(ctx, batch) {
			return
		}
	}
}

// leaver is a server that is on its way out, in HAProxy's words.
type leaver struct{ backend, server string }

func (e *Engine) leaving() []leaver {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []leaver
	for be, zombies := range e.names.zombies {
		for _, z := range zombies {
			all = append(all, leaver{be, z.name})
		}
	}
	return all
}

// buryThese reports whether there is a use in going on.
func (e *Engine) buryThese(ctx context.Context, batch []leaver) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.trusted || !e.running.up {
		return false
	}
	zombies := e.names.zombies
	var commands []command
	batch = slices.DeleteFunc(batch, func(x leaver) bool { // it came back
		return !slices.ContainsFunc(zombies[x.backend], func(z zombie) bool { return z.name == x.server })
	})
	for _, x := range batch {
		commands = append(commands, command{text: "del server " + x.backend + "/" + x.server})
	}
	for len(commands) > 0 {
		n := oneLine(commands)
		reply, err := e.stats.ask(ctx, join(commands[:n]))
		if err != nil {
			return false
		}
		replies := deletions(reply)
		for i, x := range batch[:n] {
			if i >= len(replies) || strings.Contains(replies[i], "still has connections") {
				continue
			}
			zombies[x.backend] = slices.DeleteFunc(zombies[x.backend], func(z zombie) bool { return z.name == x.server })
			if len(zombies[x.backend]) == 0 {
				delete(zombies, x.backend)
			}
		}
		commands, batch = commands[n:], batch[n:]
	}
	return true
}

// watchExtras looks at the operator's files.
func (e *Engine) watchExtras(ctx context.Context, changed func()) error {
	files := time.NewTicker(extrasEvery)
	defer files.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-files.C:
			e.outputSize()
			if e.rereadExtras() {
				changed()
			}
		}
	}
}

// rereadExtras takes changed files in; the next Apply loads them.
func (e *Engine) rereadExtras() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := readExtras(e.config.Extra)
	if maps.Equal(now.files, e.extra.read) {
		return false
	}
	e.extra = e.extra.keeping(now)
	return globalShape(e.disk.settings, e.extra.content()) != e.running.loaded.Global
}

// watchDeath tells when HAProxy's master ends, whoever started it.
func (e *Engine) watchDeath(ctx context.Context, changed func()) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		e.mu.Lock()
		pid := e.running.master
		e.mu.Unlock()
		if pid != 0 && ended(ctx, pid) && ctx.Err() == nil {
			e.mu.Lock()
			if e.running.master == pid {
				e.trusted, e.running.master = false, 0
			}
			e.mu.Unlock()
			changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

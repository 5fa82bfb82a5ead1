package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/landfall-edge/landfall/internal/admin"
	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
)

// fewFiles is a limit of open files that a busy edge would reach: a connection
// takes two.
const fewFiles = 8192

// Check looks at the machine, the sources and the objects of an edge that is to
// run here, or does. It changes nothing. With offline, no API server is asked.
func Check(ctx context.Context, edge *spec.Edge, offline bool, o Options) ([]status.Check, error) {
	c := &checker{edge: edge, options: o}
	c.haproxy(ctx)
	c.folders()
	c.addresses()
	c.sources(offline)
	out, statuses, err := once(ctx, edge, o, func(s spec.Source) bool {
		return !c.broken[s.Name] && (!offline || s.Kubernetes == nil)
	})
	if err != nil {
		return nil, fmt.Errorf("check sources: %w", err)
	}
	c.answers(statuses)
	c.objects(out)
	if err := c.ports(ctx, out.Asked); err != nil {
		return nil, fmt.Errorf("check ports: %w", err)
	}
	return c.checks, nil
}

// checker collects what was looked at.
type checker struct {
	edge    *spec.Edge
	options Options
	checks  []status.Check
	version string
	broken  map[string]bool // sources that could not be made
}

func (c *checker) ok(what, format string, args ...any) {
	c.checks = append(c.checks, status.Check{What: what, OK: true, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) finding(what, format string, args ...any) {
	c.checks = append(c.checks, status.Check{What: what, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) haproxy(ctx context.Context) {
	s, err := haproxy.Facts(ctx, engineConfig(c.edge, c.options.Log))
	if err != nil {
		c.finding("haproxy", "%v", err)
		return
	}
	c.version = s.Features.Version
	c.ok("haproxy", "version %s", c.version)
	if err := haproxy.CheckPaths(s); err != nil {
		c.finding("sockets", "%v", err)
	}
	if s.OpenFiles < fewFiles {
		c.finding("open files", "the limit is %d, enough for about %d connections; raise it with LimitNOFILE=262144 in the systemd unit, "+
			"or with ulimit -Hn 262144 before landfall edge", s.OpenFiles, s.OpenFiles/2)
	} else {
		c.ok("open files", "the limit is %d", s.OpenFiles)
	}
}

func (c *checker) folders() {
	for _, f := range []struct{ what, field, path string }{
		{"state folder", "stateDir", c.edge.StateDir},
		{"socket folder", "admin.socket", filepath.Dir(c.edge.Admin.Socket)},
	} {
		if err := writable(f.path); err != nil {
			c.finding(f.what, "%v; run as root, or set %s to a place of your own", err, f.field)
		} else {
			c.ok(f.what, "%s", f.path)
		}
	}
}

// writable reports an error unless files can be made in dir, which may have to be
// made first.
func writable(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", at)
		}
		if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
			return fmt.Errorf("%s cannot be written to: %w", at, err)
		}
		return nil
	}
}

// addresses are looked for on the machine: HAProxy binds no other.
func (c *checker) addresses() {
	for _, v := range c.edge.VIPs {
		for _, a := range v.Addresses {
			if err := tryBind(netip.AddrPortFrom(a, 0)); errors.Is(err, syscall.EADDRNOTAVAIL) {
				c.finding("vip "+v.Name, "%s is not an address of this machine; add it to an interface "+
					"(for example: ip address add %s dev eth0), or correct it under vips", a, netip.PrefixFrom(a, a.BitLen()))
			} else {
				c.ok("vip "+v.Name, "%s", a)
			}
		}
	}
}

// sources makes each of them, to see what is wrong with its own settings.
func (c *checker) sources(offline bool) {
	c.broken = map[string]bool{}
	for _, s := range c.edge.Sources {
		if offline && s.Kubernetes != nil {
			c.ok("source "+s.Name, "left out (--offline)")
			continue
		}
		o := c.options
		o.passive = true
		if _, err := newSource(c.edge, s, o); err != nil {
			c.broken[s.Name] = true
			c.finding("source "+s.Name, "%v", err)
		}
	}
}

func (c *checker) answers(statuses []source.Status) {
	for _, s := range statuses {
		switch {
		case !s.Synced:
			c.finding("source "+s.Name, "no whole answer within %s: %v", grace, s.Err)
		case s.Stale:
			c.finding("source "+s.Name, "%s", s.Message)
		default:
			c.ok("source "+s.Name, "answers")
		}
	}
}

func (c *checker) objects(out *desired.Output) {
	told := map[string]bool{} // sources that have a line already
	for _, check := range c.checks {
		told[check.What] = !check.OK
	}
	findings := 0
	for _, f := range out.Findings {
		if f.Origin.Name == "" && told["source "+f.Origin.Source] {
			continue
		}
		findings++
		where := f.Origin.String()
		if where != f.Origin.Source {
			where = f.Origin.Source + " " + strings.TrimSpace(f.Origin.Kind+" "+where)
		}
		if f.Field != "" {
			where += ", " + f.Field
		}
		message := f.Message
		if f.Accepted != "" {
			message += " (served all the same: " + f.Accepted + ")"
		}
		c.finding(where, "%s", message)
	}
	routes := 0
	for _, r := range out.State.Routes {
		if r.Name != r.Listener { // which is nothing but its listener's port
			routes++
		}
	}
	c.ok("objects", "%s, %s, %s would be served", status.Count(len(out.State.Listeners), "listener"),
		status.Count(routes, "route"), status.Count(len(out.State.Backends), "backend"))
}

// ports looks who holds what this edge would open.
func (c *checker) ports(ctx context.Context, asked []*model.Listener) error {
	if c.version == "" {
		return nil // the engine is what can look, and it is not there
	}
	mine, err := admin.NewClient(c.edge.Admin.Socket).Status(ctx, engine.Brief)
	runs := err == nil
	if runs {
		c.ok("edge", "%s runs from this file already", mine.Edge)
	}
	listeners := asked
	for _, r := range reserved(c.edge) {
		if !runs {
			listeners = append(listeners[:len(listeners):len(listeners)], &model.Listener{Port: r.Port()})
		}
	}
	owners, err := c.owners(ctx, listeners)
	if err != nil {
		return err
	}
	seen := map[uint16]bool{}
	for _, l := range listeners {
		if seen[l.Port] {
			continue
		}
		seen[l.Port] = true
		what := fmt.Sprintf("port %d", l.Port)
		if owner, held := owners[l.Port]; held {
			c.finding(what, "it is held by %s; stop that, or choose another port", owner)
		} else if err := mayBind(l.Port, "the port"); err != nil {
			c.finding(what, "%v", err)
		} else {
			c.ok(what, "free for this edge")
		}
	}
	return nil
}

// owners finds who else holds ports, with an engine of a folder of its own: the
// real one's is not touched.
func (c *checker) owners(ctx context.Context, listeners []*model.Listener) (map[uint16]string, error) {
	base := os.TempDir()
	if len(base) > 40 { // too long for the sockets
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "landfall-check-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // or the engine refuses it: HAProxy's workers could not enter
		return nil, err
	}
	config := engineConfig(c.edge, slog.New(slog.DiscardHandler))
	config.Dir, config.RunDir = filepath.Join(dir, "s"), filepath.Join(dir, "r")
	engine, err := haproxy.New(ctx, config)
	if err != nil {
		return nil, err
	}
	held, err := engine.Held(ctx, listeners)
	if err != nil {
		return nil, err
	}
	out := map[uint16]string{}
	for _, h := range held {
		if !c.ours(h.Owner) {
			out[h.Port] = h.Owner
		}
	}
	return out, nil
}

// ours reports whether an owner, "haproxy (pid 812)", is this edge's HAProxy.
func (c *checker) ours(owner string) bool {
	var name string
	var pid int
	if _, err := fmt.Sscanf(owner, "%s (pid %d)", &name, &pid); err != nil {
		return false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(cmdline), filepath.Join(filepath.Dir(c.edge.Admin.Socket), "haproxy-master.sock"))
}

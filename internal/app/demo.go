package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/landfall-edge/landfall/internal/demo"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/spec"
)

// The ports of the demo, or the next free ones.
const (
	demoHTTP  = 8080
	demoTCP   = 9001
	demoAdmin = 9380 // beyond the ports that HAProxy's own answers may take
)

// DemoOptions are how the demo is to be.
type DemoOptions struct {
	Options
	Program  string // how this program was called, for what it tells to call
	Dir      string // where everything lies, and stays; empty: a folder that goes
	HTTPPort uint16 // 0: 8080, or the next that is free
	Out      io.Writer
}

// Demo runs an edge before sample services on this machine until ctx ends, tells
// of each change, and leaves nothing running.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	if _, err := haproxy.Detect(ctx, program("haproxy")); err != nil {
		return err
	}
	dir, gone, err := demoDir(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gone()) }()
	backends, err := demo.Listen(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backends.Close()) }()
	backends.Start()
	d := &demonstration{DemoOptions: o, dir: dir}
	edge, err := d.prepare(ctx, backends.Services())
	if err != nil {
		return err
	}
	o.OnApplied, o.OnFindings = d.applied, d.found
	a, err := New(ctx, edge, o.Options)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ended <- a.Stop(context.WithoutCancel(ctx), 0)
	}()
	err = a.Run(context.WithoutCancel(ctx)) // which somebody else's stop ends too
	if ctx.Err() != nil {
		err = errors.Join(err, <-ended)
	}
	err = errors.Join(err, Cleanup(context.WithoutCancel(ctx), edge, o.Log))
	_ = os.Remove(filepath.Dir(edge.Admin.Socket)) // unless there is something of others in it
	return err
}

// demoDir makes the folder, and returns what takes it away.
func demoDir(dir string) (string, func() error, error) {
	if dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return "", nil, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil { // HAProxy's workers must get into it
			return "", nil, fmt.Errorf("make folder of the demo: %w", err)
		}
		held, err := lock(filepath.Join(dir, "state")) // nobody's demo is written over
		if err != nil {
			return "", nil, err
		}
		return dir, func() error { return nil }, held.Close()
	}
	dir, err := os.MkdirTemp("", "landfall-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make folder of the demo: %w", err)
	}
	// HAProxy's workers run as another user, and must get to the sockets.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", nil, errors.Join(fmt.Errorf("make folder of the demo: %w", err), os.RemoveAll(dir))
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// demonstration is the demo as it runs.
type demonstration struct {
	DemoOptions
	dir      string
	fronts   demo.Fronts
	admin    uint16
	began    bool
	findings []model.Finding // that have been told
}

// prepare writes the manifests and the edge's file, and reads it.
func (d *demonstration) prepare(ctx context.Context, services demo.Services) (*spec.Edge, error) {
	if err := d.choosePorts(ctx); err != nil {
		return nil, err
	}
	manifests := filepath.Join(d.dir, "manifests")
	if err := demo.Write(manifests, services, d.fronts); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`# The edge of the demo. See examples/ for real ones.
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: demo
stateDir: %s
vips: [{name: local, addresses: [%s]}]
http: {port: %d}
sources:
  - name: demo
    manifests: {path: %s, allowLoopback: true}
admin: {socket: %s, listen: "127.0.0.1:%d"}
`, strconv.Quote(filepath.Join(d.dir, "state")), loopback(), d.fronts.HTTP, strconv.Quote(manifests),
		strconv.Quote(filepath.Join(d.dir, "run", "admin.sock")), d.admin)
	if err := os.WriteFile(d.file(), []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write the edge's file: %w", err)
	}
	return Load(d.file())
}

func (d *demonstration) file() string { return filepath.Join(d.dir, "edge.yaml") }

// loopback are the addresses of it that this machine has.
func loopback() string {
	if tryBind(netip.AddrPortFrom(netip.IPv6Loopback(), 0)) != nil {
		return "127.0.0.1"
	}
	return `127.0.0.1, "::1"`
}

func (d *demonstration) choosePorts(ctx context.Context) (err error) {
	if d.fronts.HTTP = d.HTTPPort; d.HTTPPort == 0 {
		d.fronts.HTTP, err = nextPort(ctx, demoHTTP)
	} else {
		err = d.wanted(ctx)
	}
	if err != nil {
		return err
	}
	if d.fronts.Hello, err = nextPort(ctx, demoTCP, d.fronts.HTTP); err != nil {
		return err
	}
	if d.fronts.Sticky, err = nextPort(ctx, d.fronts.Hello+1, d.fronts.HTTP); err != nil {
		return err
	}
	d.admin, err = nextPort(ctx, demoAdmin, d.fronts.HTTP, d.fronts.Hello, d.fronts.Sticky)
	return err
}

// wanted reports an error if the port that was asked for cannot be had.
func (d *demonstration) wanted(ctx context.Context) error {
	err := tryPort(ctx, d.HTTPPort)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		c := &checker{edge: &spec.Edge{HAProxy: spec.HAProxy{Binary: "haproxy"}}, options: d.Options}
		owners, _ := c.owners(ctx, []*model.Listener{{Port: d.HTTPPort}})
		owner := owners[d.HTTPPort]
		if owner == "" {
			owner = "another process"
		}
		return fmt.Errorf("%w; it is held by %s: leave --http-port out to have a free one chosen", err, owner)
	default:
		if mayErr := mayBind(d.HTTPPort, "--http-port"); mayErr != nil {
			return mayErr
		}
		return err
	}
}

// nextPort is the first free port from first on, and none of taken.
func nextPort(ctx context.Context, first uint16, taken ...uint16) (uint16, error) {
	const tries = 200
	var last error
	for port := first; port < first+tries; port++ {
		if slices.Contains(taken, port) {
			continue
		}
		if last = tryPort(ctx, port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port from %d on: %w", first, last)
}

func tryPort(ctx context.Context, port uint16) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", ":"+strconv.Itoa(int(port)))
	if err != nil {
		return fmt.Errorf("open port %d: %w", port, err)
	}
	return l.Close()
}

// applied tells of a change, and before the first one what there is to see.
func (d *demonstration) applied(p plan.Plan, done engine.Applied) {
	if !d.began {
		d.began = true
		d.begin()
		return
	}
	for _, line := range demo.Narrate(p, done) {
		fmt.Fprintln(d.Out, line)
	}
}

// found tells of findings that are new, and of those that are mended.
func (d *demonstration) found(findings []model.Finding) {
	for _, f := range findings {
		if !slices.Contains(d.findings, f) {
			fmt.Fprintf(d.Out, "! %s: %s\n", where(f), f.Message)
		}
	}
	for _, f := range d.findings {
		if !slices.ContainsFunc(findings, func(g model.Finding) bool { return g.Origin.Key() == f.Origin.Key() }) {
			fmt.Fprintf(d.Out, "%s: mended\n", f.Origin)
		}
	}
	d.findings = findings
}

// where is the object and the place in it: "web/shop spec.ports[0]", "shop.yaml:12".
func where(f model.Finding) string {
	switch who := f.Origin.String(); {
	case f.Field == "":
		return who
	case strings.HasPrefix(f.Field, who):
		return f.Field
	default:
		return who + " " + f.Field
	}
}

func (d *demonstration) begin() {
	fmt.Fprintf(d.Out, `An edge is serving the manifests in %[1]s

  http://shop.localhost:%[2]d/      a shop behind a host name
  http://shop.localhost:%[2]d/api   another service below it
  http://127.0.0.1:%[3]d/           a TCP service with a port of its own
  http://127.0.0.1:%[4]d/           a service that keeps each client on one endpoint

Change a file there, and see here when it is live. To begin with, take away the #
in the last two lines of shop.yaml, or write nonsense into it.

  %[5]s status -c %[6]s
  http://127.0.0.1:%[7]d/metrics

Ctrl-C ends it, and leaves nothing running.

`, filepath.Join(d.dir, "manifests"), d.fronts.HTTP, d.fronts.Hello, d.fronts.Sticky, d.Program, d.file(), d.admin)
}

package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// pollEvery is how often the script looks.
const pollEvery = 5 * time.Second

// polled is the template of the script that many write: every Service with a host
// on every node that is ready, a rule each.
const polled = `global
  maxconn 4000
defaults
  mode http
  timeout connect 3s
  timeout client 1m
  timeout server 1m
frontend web
  bind {{.Address}}:80
{{- range .Services}}
  acl host_{{.Name}} hdr(host) -i {{.Host}}
{{- end}}
{{- range .Services}}
  use_backend {{.Name}} if host_{{.Name}}
{{- end}}
{{- range .Services}}
backend {{.Name}}
  balance roundrobin
{{- $port := .Port}}
{{- range $.Nodes}}
  server {{.Name}} {{.Address}}:{{$port}}
{{- end}}
{{- end}}
`

// poller is the way without Landfall: nodes and Services as JSON every five
// seconds, a template, and when its text is another one: rename, check, reload.
type poller struct {
	*world
	dir     string
	config  *rest.Config
	http    *http.Client
	text    *template.Template
	master  *exec.Cmd
	last    string
	reloads atomic.Int64
}

func (w *world) newPoller() (*poller, error) {
	p := &poller{world: w, dir: w.folder(), config: w.cluster.Config()}
	var err error
	if p.http, err = rest.HTTPClientFor(p.config); err != nil {
		return nil, err
	}
	p.text, err = template.New("polled").Parse(polled)
	return p, err
}

// run looks again and again until ctx ends.
func (p *poller) run(ctx context.Context) error {
	for {
		if err := p.once(ctx); err != nil {
			return ended(ctx, err)
		}
		if pause(ctx, min(pollEvery, max(p.duration, time.Second))) != nil {
			return nil
		}
	}
}

func (p *poller) once(ctx context.Context) error {
	var nodes corev1.NodeList
	var services corev1.ServiceList
	if err := p.get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return err
	}
	if err := p.get(ctx, "/api/v1/services", &services); err != nil {
		return err
	}
	file := filepath.Join(p.dir, "haproxy.cfg")
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	err = p.text.Execute(f, map[string]any{"Address": pollVIP, "Services": hosted(services), "Nodes": ready(nodes)})
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file + ".new")
	if err != nil || string(text) == p.last {
		return err
	}
	if out, err := exec.CommandContext(ctx, p.haproxy, "-c", "-q", "-f", file+".new").CombinedOutput(); err != nil {
		return fmt.Errorf("check what the template made: %w: %s", err, out)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	p.last = string(text)
	if p.master == nil {
		p.master = foreground(p.t, p.haproxy, "-W", "-q", "-f", file)
		return nil
	}
	p.reloads.Add(1)
	return p.master.Process.Signal(syscall.SIGUSR2)
}

func (p *poller) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.config.Host, "/")+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	return json.Unmarshal(text, into)
}

type polledService struct {
	Name, Host string
	Port       int32
}

// hosted are the Services with a host. Those without a node port get that of the
// first, so that there are as many as there are.
func hosted(list corev1.ServiceList) []polledService {
	var all []polledService
	for _, s := range list.Items {
		if h := s.Annotations[hostAnnotation]; h != "" {
			all = append(all, polledService{s.Name, h, max(s.Spec.Ports[0].NodePort, firstNode)})
		}
	}
	return all
}

type polledNode struct{ Name, Address string }

func ready(list corev1.NodeList) []polledNode {
	var all []polledNode
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				all = append(all, polledNode{n.Name, n.Status.Addresses[0].Address})
			}
		}
	}
	return all
}

// measurePolling measures the script as the edge is measured, with fewer samples:
// each takes seconds. It knows no pods, so its endpoints are nodes.
func measurePolling(ctx context.Context, w *world, _ *edge) error {
	p, err := w.newPoller()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		cancel(p.run(ctx)) // nothing comes without it
		close(ended)
	}()
	defer func() { cancel(nil); <-ended }()
	return p.measure(ctx, time.Now())
}

func (p *poller) measure(ctx context.Context, began time.Time) error {
	at, err := p.live(ctx, func(a answer) bool { return a.code == 200 })
	if err != nil {
		return err
	}
	p.note(p.services, "polling: start -> served", fmt.Sprintf("%.2f s", at.Sub(began).Seconds()))
	for _, m := range []struct {
		what string
		once func(context.Context) (time.Duration, error)
	}{
		{"polling: endpoint change", p.node},
		{"polling: new route", p.route},
	} {
		var took []time.Duration
		for range max(1, p.samples/25) {
			d, err := m.once(ctx)
			if err != nil {
				return err
			}
			took = append(took, d)
			// Not in step with the script.
			if err := pause(ctx, time.Duration(len(took)*1700%5000-1700)*time.Millisecond); err != nil {
				return err
			}
		}
		p.note(p.services, m.what, spreadOf(took).String())
	}
	return p.churn(ctx)
}

func (p *poller) live(ctx context.Context, right func(answer) bool) (time.Time, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	return until(ctx, pollVIP+":80", host(0), right)
}

// setReady says of a node whether it is ready.
func (p *poller) setReady(ctx context.Context, node int, is corev1.ConditionStatus) error {
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"reason":"Kubelet","message":"bench"}]}}`, is)
	_, err := p.clients.CoreV1().Nodes().Patch(ctx, fmt.Sprint("n", node), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}

// node takes the time from a node's being ready until it answers for a Service.
func (p *poller) node(ctx context.Context) (time.Duration, error) {
	const node = 3
	from := func(yes bool) func(answer) bool {
		seen := 0 // of the nodes in a row that were another
		return func(a answer) bool {
			if serves := a.body == fmt.Sprintf("%s:%d", nodeAddress(node), firstNode); serves == yes {
				seen++
			} else {
				seen = 0
			}
			return seen > 0 && yes || seen > 3
		}
	}
	if err := p.setReady(ctx, node, corev1.ConditionFalse); err != nil {
		return 0, err
	}
	if _, err := p.live(ctx, from(false)); err != nil {
		return 0, err
	}
	if err := p.setReady(ctx, node, corev1.ConditionTrue); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	at, err := p.live(ctx, from(true))
	return at.Sub(acknowledged), err
}

// route takes the time from a Service's being there until HAProxy knows its host:
// 503 is the answer of one that does not, and of nobody at a node port as well, so
// that the Service gets a node port that is answered.
func (p *poller) route(ctx context.Context) (time.Duration, error) {
	i := p.fresh()
	s := service(i)
	s.Spec.Type, s.Spec.ClusterIP = corev1.ServiceTypeNodePort, ""
	s.Spec.Ports[0].NodePort = spareNodePort
	if _, err := p.clients.CoreV1().Services(namespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	bound, cancel := patiently(ctx)
	defer cancel()
	at, err := until(bound, pollVIP+":80", host(i), func(a answer) bool { return a.code == 200 })
	if err != nil {
		return 0, err
	}
	return at.Sub(acknowledged), p.clients.CoreV1().Services(namespace).Delete(ctx, name(i), metav1.DeleteOptions{})
}

// churn counts what clients lose while nodes and Services change.
func (p *poller) churn(ctx context.Context) error {
	l := p.load(pollVIP)
	l.services = nil
	for i := range min(p.services, nodePorts-1) {
		l.services = append(l.services, i)
	}
	before := p.reloads.Load()
	timed, cancel := context.WithTimeout(ctx, p.duration)
	defer cancel()
	g, timed := errgroup.WithContext(timed)
	c := &changer{world: p.world}
	g.Go(func() error { l.run(timed); return nil })
	g.Go(func() error {
		n := 0
		return c.every(timed, 100*time.Millisecond, 0, func() error {
			n++
			is := corev1.ConditionTrue
			if n%2 == 0 {
				is = corev1.ConditionFalse
			}
			return p.setReady(timed, 3, is)
		})
	})
	g.Go(func() error { return c.every(timed, time.Second/2, 0, func() error { return c.route(timed) }) })
	if err := g.Wait(); err != nil {
		return err
	}
	p.note(p.services, "polling: lost in such churn", l.String())
	p.note(p.services, "polling: reloads meanwhile", fmt.Sprint(p.reloads.Load()-before))
	return p.setReady(ctx, 3, corev1.ConditionTrue)
}

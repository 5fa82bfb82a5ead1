package kube_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// cluster is an API server, what is shipped for it, and an administrator.
type cluster struct {
	*testkube.Server
	admin kubernetes.Interface
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Server: testkube.Start(t)}
	admin, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	c.admin = admin
	c.Apply(t, shipped(t, "rbac.yaml"))
	c.Apply(t, shipped(t, "ingressclass.yaml"))
	return c
}

// shipped is a manifest as users get it.
func shipped(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// edgeKubeconfig is a kubeconfig with a token of the ServiceAccount that is
// shipped, which may do what its role says and nothing more.
func (c *cluster) edgeKubeconfig(t *testing.T) string {
	t.Helper()
	token, err := c.admin.CoreV1().ServiceAccounts("landfall-system").CreateToken(
		t.Context(), "landfall-edge", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "edge.kubeconfig")
	writeKubeconfig(t, path, c.Config(), token.Status.Token)
	return path
}

func writeKubeconfig(t *testing.T, path string, server *rest.Config, token string) {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["here"] = &clientcmdapi.Cluster{Server: server.Host, CertificateAuthorityData: server.CAData}
	file.AuthInfos["edge"] = &clientcmdapi.AuthInfo{Token: token}
	file.Contexts["edge@here"] = &clientcmdapi.Context{Cluster: "here", AuthInfo: "edge"}
	file.CurrentContext = "edge@here"
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		t.Fatal(err)
	}
}

// running is a Source whose Run goes on until the test ends, or until stop.
type running struct {
	*kube.Source
	signal  chan struct{}
	changes atomic.Int64
	stop    func()
}

func options() translate.Options {
	return translate.Options{Probe: &translate.Probe{Port: 10256, Path: "/healthz"}}
}

func newSource(t *testing.T, cfg kube.Config) *kube.Source {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "home"
	}
	cfg.Edge, cfg.Version = "shore", "test"
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	if cfg.StaleAfter == 0 {
		cfg.StaleAfter = 50 * time.Millisecond
	}
	s, err := kube.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, cfg kube.Config) *running {
	t.Helper()
	return runSource(t, newSource(t, cfg))
}

func runSource(t *testing.T, s *kube.Source) *running {
	t.Helper()
	r := &running{Source: s, signal: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func() {
			r.changes.Add(1)
			select {
			case r.signal <- struct{}{}:
			default:
			}
		})
	}()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// await reads after each change until ok, and returns what was read.
func (r *running) await(t *testing.T, what string, ok func(model.Fragment, error) bool) (model.Fragment, error) {
	t.Helper()
	timeout := time.NewTimer(testwait.Patience)
	defer timeout.Stop()
	for {
		f, err := r.Read(t.Context())
		if ok(f, err) {
			return f, err
		}
		select {
		case <-r.signal:
		case <-timeout.C:
			t.Fatalf("waited in vain for %s; last read: error %v, parts %v", what, err, parts(f))
		}
	}
}

func (r *running) synced(t *testing.T) model.Fragment {
	t.Helper()
	f, _ := r.await(t, "the first whole answer", func(_ model.Fragment, err error) bool { return err == nil })
	return f
}

// failing waits for an error that says all of words.
func (r *running) failing(t *testing.T, words ...string) (model.Fragment, error) {
	t.Helper()
	return r.await(t, "an error with "+strings.Join(words, ", "), func(_ model.Fragment, err error) bool {
		return err != nil && containsAll(err.Error(), words...)
	})
}

func containsAll(s string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

func parts(f model.Fragment) []string {
	var names []string
	for _, p := range f.Parts {
		names = append(names, p.Origin.Kind+" "+p.Origin.String())
	}
	return names
}

// Package testkube starts a real kube-apiserver on a real etcd for one test.
// What Kubernetes allocates, defaults, refuses and sends to a watcher is asked of
// Kubernetes itself and never imitated. Nothing else of a cluster runs: no
// controller, no scheduler, no kubelet, so that a Node or an EndpointSlice is
// there when the test writes it and stays as it was written.
//
// It is imported by tests only. The programs are those that hack/build-kubernetes
// builds; both listen on loopback and end with the test.
package testkube

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Server is a running kube-apiserver and its etcd. Its methods end the test when
// they do not succeed. They are not safe for use by several goroutines.
type Server struct {
	t      testing.TB
	env    *envtest.Environment
	output *os.File
	writer *writer
}

// Start starts etcd and kube-apiserver and stops both when the test ends. Without
// the programs it ends the test as testneed.Need does, under the name apiserver.
// Each flag is one of kube-apiserver's, such as "service-cluster-ip-range=10.96.0.0/12";
// without that one there is room for 250 Services.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	found := findPrograms(t)
	dir := t.TempDir()
	s := &Server{t: t, env: environment(t, dir, found)}
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		s.env.ControlPlane.GetAPIServer().Configure().Set(name, value)
	}
	s.captureOutput(filepath.Join(dir, "output"))

	// envtest logs through this, and complains at length when it is not set.
	log.SetLogger(logr.Discard())
	// Before Start, which may fail with one of the two running.
	t.Cleanup(s.stopAll)
	if _, err := s.env.Start(); err != nil {
		t.Fatalf("start apiserver: %v\n%s", err, s.lastOutput())
	}
	s.writer = newWriter(t, s.env.Config)
	return s
}

// environment describes the two processes. All that envtest would otherwise take
// from the environment of the caller is set, so that a test can never reach the
// cluster of the developer who runs it.
func environment(t testing.TB, dir string, found programs) *envtest.Environment {
	t.Helper()
	existing := false
	env := &envtest.Environment{
		UseExistingCluster:       &existing,
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  20 * time.Second,
	}
	certs, data, bin := filepath.Join(dir, "certs"), filepath.Join(dir, "etcd"), filepath.Join(dir, "bin")
	for _, sub := range []string{certs, data, bin} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	found.boundToTest(t, bin)
	env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(bin, "etcd"), DataDir: data}
	api := env.ControlPlane.GetAPIServer()
	api.Path = filepath.Join(bin, "kube-apiserver")
	// Named here because a folder of envtest's own is lost with every Stop, and
	// the certificates with it.
	api.CertDir = certs
	api.Address, api.Port = "127.0.0.1", strconv.Itoa(holdPort(t))
	// By default it advertises the address of the default route, which a network
	// namespace need not have, and keeps an Endpoints object with it.
	api.Configure().
		Set("advertise-address", "127.0.0.1").
		Set("endpoint-reconciler-type", "none").
		// By default a stop waits up to a minute for open watches to end.
		Set("shutdown-watch-termination-grace-period", "200ms")
	return env
}

// Stop stops the apiserver; etcd goes on with all data. Until Restart, connections
// to the apiserver are refused. Stopping it twice does no harm.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.env.ControlPlane.APIServer.Stop(); err != nil {
		// Not Fatalf: the caller may be a subtest of the test it would end.
		s.t.Errorf("stop apiserver: %v\n%s", err, s.lastOutput())
	}
}

// Restart starts the apiserver again, on the same address and with the same data
// and certificates: every client and kubeconfig made before goes on to work.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.env.ControlPlane.APIServer.Start(); err != nil {
		t.Fatalf("restart apiserver: %v\n%s", err, s.lastOutput())
	}
}

// Empty starts both again, on the same addresses and with the same certificates, and
// with none of the data: every client finds another cluster, in which there is nothing
// yet.
func (s *Server) Empty(t testing.TB) {
	t.Helper()
	s.Stop()
	etcd := s.env.ControlPlane.Etcd
	if err := etcd.Stop(); err != nil {
		t.Fatalf("stop etcd: %v\n%s", err, s.lastOutput())
	}
	if err := os.RemoveAll(filepath.Join(etcd.DataDir, "member")); err != nil {
		t.Fatal(err)
	}
	if err := etcd.Start(); err != nil {
		t.Fatalf("restart etcd: %v\n%s", err, s.lastOutput())
	}
	s.Restart(t)
}

// Config returns how to reach the apiserver as an administrator.
func (s *Server) Config() *rest.Config {
	return rest.CopyConfig(s.env.Config)
}

// Kubeconfig returns the name of a file that says the same as Config.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	return writeKubeconfig(t, s.env.KubeConfig)
}

// User returns how to reach the apiserver as a user who may do nothing but what
// the test's RBAC objects grant to the name or one of the groups.
func (s *Server) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	return s.user(t, name, groups).Config()
}

// UserKubeconfig returns the name of a file that says the same as User.
func (s *Server) UserKubeconfig(t testing.TB, name string, groups ...string) string {
	t.Helper()
	content, err := s.user(t, name, groups).KubeConfig()
	if err != nil {
		t.Fatalf("make kubeconfig of %s: %v", name, err)
	}
	return writeKubeconfig(t, content)
}

func (s *Server) user(t testing.TB, name string, groups []string) *envtest.AuthenticatedUser {
	t.Helper()
	user, err := s.env.AddUser(envtest.User{Name: name, Groups: groups}, s.env.Config)
	if err != nil {
		t.Fatalf("add user %s: %v", name, err)
	}
	return user
}

func writeKubeconfig(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *Server) stopAll() {
	if err := s.env.Stop(); err != nil {
		s.t.Errorf("stop apiserver and etcd: %v\n%s", err, s.lastOutput())
	}
	s.output.Close()
}

// captureOutput sends what both programs say to a file, where it is found when
// one of them does not start. A file, since a pipe would have to be read.
func (s *Server) captureOutput(path string) {
	s.t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.output = f
	api, etcd := s.env.ControlPlane.APIServer, s.env.ControlPlane.Etcd
	api.Out, api.Err, etcd.Out, etcd.Err = f, f, f, f
}

// lastOutput returns the end of what both programs said.
func (s *Server) lastOutput() string {
	const most = 4096
	info, err := s.output.Stat()
	if err != nil {
		return fmt.Sprintf("read output: %v", err)
	}
	text := make([]byte, min(info.Size(), most))
	if _, err := s.output.ReadAt(text, info.Size()-int64(len(text))); err != nil {
		return fmt.Sprintf("read output: %v", err)
	}
	return string(text)
}

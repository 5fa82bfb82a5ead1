package kube_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/source/kube"
)

func TestKubeconfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	const whole = `
apiVersion: v1
kind: Config
clusters: [{name: home, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: edge, user: {token: x}}]
contexts: [{name: edge@home, context: {cluster: home, user: edge}}]
`
	for _, tc := range []struct{ name, content, want string }{
		{"good", whole + "current-context: edge@home\n", ""},
		{"missing", "", "missing (write one there, for example: kubectl config view --raw"},
		{"empty", "\n", "has no contexts"},
		{"text", "hello: [", "is not a kubeconfig"},
		{"list", "- 1\n", "is not a kubeconfig"},
		{"no-current-context", whole, "has no current-context; choose one of its contexts (edge@home), for example: kubectl config --kubeconfig "},
		{"wrong-context", whole + "current-context: away\n", `has no context "away", which is its current-context; it has edge@home`},
		{"no-cluster", strings.Replace(whole, "cluster: home, user", "cluster: away, user", 1) + "current-context: edge@home\n", "cannot be used"},
		{"no-ca", strings.Replace(whole, "server:", "certificate-authority: gone.crt, server:", 1) + "current-context: edge@home\n", filepath.Join(dir, "gone.crt")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(dir, tc.name)
			if tc.content != "" {
				must(t, os.WriteFile(path, []byte(tc.content), 0o600))
			}
			_, err := kube.New(kube.Config{Name: "home", Kubeconfig: path})
			if tc.want == "" {
				must(t, err)
				return
			}
			expectKubeconfigError(t, err, path, tc.want)
			if tc.name == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v does not wrap fs.ErrNotExist", err)
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		_, err := kube.New(kube.Config{Name: "home", Kubeconfig: dir})
		expectKubeconfigError(t, err, dir, "is a directory")
	})
	t.Run("none", func(t *testing.T) {
		_, err := kube.New(kube.Config{Name: "home"})
		expectKubeconfigError(t, err, "kubeconfig: /etc/landfall/home.kubeconfig", "this is not a Pod of a cluster")
	})
}

func expectKubeconfigError(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, kube.ErrKubeconfig) || !containsAll(err.Error(), words...) {
		t.Errorf("got %v, want an ErrKubeconfig with %q", err, words)
	}
}

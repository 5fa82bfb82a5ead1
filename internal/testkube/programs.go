package testkube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testneed"
)

// programs says where the programs of the tests are.
type programs struct {
	root   string // of the repository
	folder string // that hack/build-kubernetes filled
}

// findPrograms finds the folder as hack/build-kubernetes does, without calling
// it: a test must not build for minutes because a version changed.
func findPrograms(t testing.TB) programs {
	t.Helper()
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	kubernetes, err := pinned(root, "apiserver", "k8s.io/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	etcd, err := pinned(root, "etcd", "go.etcd.io/etcd/server/v3")
	if err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv("LANDFALL_CACHE")
	if cache == "" {
		cache = ".cache"
	}
	if !filepath.IsAbs(cache) {
		cache = filepath.Join(root, cache)
	}
	found := programs{root, filepath.Join(cache, "kubernetes-"+kubernetes+"-etcd-"+etcd)}
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(found.folder, name)); err != nil {
			testneed.Need(t, "apiserver", "run: make test-deps")
		}
	}
	return found
}

// repositoryRoot looks upwards from the folder of the tested package, in which go
// test runs every test.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(modFile(dir, "apiserver")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository above %s: no test/kubernetes", start)
		}
	}
}

// pinned returns the version that a module below test/kubernetes requires.
func pinned(root, nested, module string) (string, error) {
	name := modFile(root, nested)
	content, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("read %s: no version of %s", name, module)
}

func modFile(root, nested string) string {
	return filepath.Join(root, "test", "kubernetes", nested, "go.mod")
}

// boundToTest makes a folder of commands that are the programs, but end when the
// test's process does. Cleanups do not run when go test's timeout or an interrupt
// ends it, and envtest puts both programs out of reach of a Ctrl-C.
func (p programs) boundToTest(t testing.TB, dir string) {
	t.Helper()
	script := filepath.Join(p.root, "internal", "testkube", "bound-to-parent")
	for link, target := range map[string]string{
		"program":        p.folder,
		"kube-apiserver": script,
		"etcd":           script,
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
}

// Package image makes the container image as "make image" does, opens it with nothing
// but the standard library, and runs what is in it.
package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const version = "v0.0.0-test"

// make makes the image of this machine's architecture; of the other one that would
// take many minutes the first time.
func makeImage(t *testing.T) (dir string) {
	t.Helper()
	testneed.Binary(t, "make")
	testneed.Binary(t, "go")
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "../..", "image", "DIST="+dir, "VERSION="+version, "ARCHES="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	return dir
}

// unpack reads a tar into memory.
func unpack(t *testing.T, r io.Reader) (files map[string][]byte, headers map[string]*tar.Header) {
	t.Helper()
	files, headers = map[string][]byte{}, map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(h.Name)
		files[name], headers[name] = data, h
	}
}

func open(t *testing.T, name string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := unpack(t, bytes.NewReader(data))
	return files
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// descriptor and config are what is looked at of the image's documents.
type descriptor struct {
	MediaType, Digest string
	Size              int
	Platform          struct{ OS, Architecture string }
	Annotations       map[string]string
}

type config struct {
	OS, Architecture string
	Config           struct {
		User            string
		Entrypoint, Cmd []string
		Labels          map[string]string
		ExposedPorts    map[string]any
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

// blob is a part of an OCI layout; its digest must be right.
func blob(t *testing.T, layout map[string][]byte, d descriptor) []byte {
	t.Helper()
	data := layout["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
	if digest(data) != d.Digest || len(data) != d.Size {
		t.Fatalf("%s is not what its digest says", d.Digest)
	}
	return data
}

// image finds the configuration and the layer, unpacked, in a layout.
func image(t *testing.T, layout map[string][]byte) (config, []byte) {
	t.Helper()
	type index struct{ Manifests []descriptor }
	top := decode[index](t, layout["index.json"])
	if len(top.Manifests) != 1 {
		t.Fatalf("%d images in the layout", len(top.Manifests))
	}
	want := map[string]string{"io.containerd.image.name": "localhost/landfall:" + version, "org.opencontainers.image.ref.name": version}
	if diff := cmp.Diff(want, top.Manifests[0].Annotations); diff != "" {
		t.Error(diff)
	}
	all := decode[index](t, blob(t, layout, top.Manifests[0]))
	if len(all.Manifests) != 1 || all.Manifests[0].Platform.OS != "linux" || all.Manifests[0].Platform.Architecture != runtime.GOARCH {
		t.Fatalf("platforms: %+v", all.Manifests)
	}
	manifest := decode[struct {
		Config descriptor
		Layers []descriptor
	}](t, blob(t, layout, all.Manifests[0]))
	if len(manifest.Layers) != 1 {
		t.Fatalf("%d layers", len(manifest.Layers))
	}
	zipped, err := gzip.NewReader(bytes.NewReader(blob(t, layout, manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	return decode[config](t, blob(t, layout, manifest.Config)), layer
}

// TestImage: what is in it, as which user it runs, that it is the same each time, and
// that it works.
func TestImage(t *testing.T) {
	dir := makeImage(t)
	layout := open(t, filepath.Join(dir, "landfall-image.tar"))
	conf, layer := image(t, layout)

	if conf.Config.User != "65532:65532" || !slices.Equal(conf.Config.Entrypoint, []string{"/landfall"}) || !slices.Equal(conf.Config.Cmd, []string{"phone-home"}) ||
		conf.OS != "linux" || conf.Architecture != runtime.GOARCH || conf.Config.Labels["org.opencontainers.image.version"] != version {
		t.Errorf("configuration: %+v", conf)
	}
	if !slices.Equal(conf.RootFS.DiffIDs, []string{digest(layer)}) {
		t.Errorf("the layer is %s, and the configuration has %s", digest(layer), conf.RootFS.DiffIDs)
	}
	files, headers := unpack(t, bytes.NewReader(layer))
	t.Run("content", func(t *testing.T) { checkContent(t, files, headers) })
	t.Run("static", func(t *testing.T) { checkStatic(t, files["landfall"]) })
	t.Run("docker", func(t *testing.T) { checkDocker(t, dir, conf) })
	t.Run("again", func(t *testing.T) {
		again := makeImage(t)
		for _, name := range []string{"landfall-image.tar", "landfall-image-" + runtime.GOARCH + ".tar"} {
			one, _ := os.ReadFile(filepath.Join(dir, name))
			other, _ := os.ReadFile(filepath.Join(again, name))
			if len(one) == 0 || !bytes.Equal(one, other) {
				t.Errorf("%s is another the second time", name)
			}
		}
	})
	t.Run("runs", func(t *testing.T) { checkRuns(t, files, headers) })
}

func checkContent(t *testing.T, files map[string][]byte, headers map[string]*tar.Header) {
	var got []string
	for name, h := range headers {
		got = append(got, fmt.Sprintf("%s %s", h.FileInfo().Mode(), name))
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s belongs to %d:%d and is of %s", name, h.Uid, h.Gid, h.ModTime)
		}
	}
	slices.Sort(got)
	want := []string{
		"-rw-r--r-- etc/group", "-rw-r--r-- etc/nsswitch.conf", "-rw-r--r-- etc/passwd", "-rw-r--r-- etc/ssl/certs/ca-certificates.crt",
		"-rwxr-xr-x landfall", "drwxr-xr-x etc", "drwxr-xr-x etc/ssl", "drwxr-xr-x etc/ssl/certs", "dtrwxrwxrwx tmp",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	pool := x509.NewCertPool()
	if n := bytes.Count(files["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE")); n < 50 || !pool.AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
		t.Errorf("%d certificates of authorities", n)
	}
	if !bytes.Contains(files["etc/passwd"], []byte("nonroot:x:65532:65532:")) {
		t.Errorf("users: %s", files["etc/passwd"])
	}
}

func checkStatic(t *testing.T, program []byte) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := f.ImportedLibraries()
	if err == nil && len(libraries) > 0 {
		t.Errorf("it needs %v", libraries)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a loader")
		}
	}
}

// checkDocker: the form that docker load reads holds the same.
func checkDocker(t *testing.T, dir string, want config) {
	files := open(t, filepath.Join(dir, "landfall-image-"+runtime.GOARCH+".tar"))
	manifest := decode[[]struct {
		Config           string
		RepoTags, Layers []string
	}](t, files["manifest.json"])
	if len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"localhost/landfall:" + version}) || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest: %+v", manifest)
	}
	if diff := cmp.Diff(want, decode[config](t, files[manifest[0].Config])); diff != "" {
		t.Error(diff)
	}
	if len(files[manifest[0].Layers[0]]) == 0 {
		t.Error("the layer is not there")
	}
}

// checkRuns runs the image as a container would: nothing but its files, its user.
func checkRuns(t *testing.T, files map[string][]byte, headers map[string]*tar.Header) {
	testneed.Root(t)
	root := t.TempDir()
	// Others may not enter the folders of a test.
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var err error
		if headers[name].Typeflag == tar.TypeDir {
			err = os.MkdirAll(filepath.Join(root, name), headers[name].FileInfo().Mode())
		} else {
			err = os.WriteFile(filepath.Join(root, name), files[name], headers[name].FileInfo().Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// With a /proc, as every container has one, which goes with the process.
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	const start = `mount -t proc proc "$0/proc" && exec chroot --userspec=65532:65532 "$0" /landfall "$@"`
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), testneed.Binary(t, "unshare"), append([]string{"--mount", "sh", "-c", start, root}, args...)...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		return cmd
	}
	out, err := inside("version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "landfall "+version+" ") {
		t.Errorf("landfall version: %v: %s", err, out)
	}
	phoneHome(t, inside)
}

// phoneHome runs the agent as older containers are run, and looks at its size when it
// has told an edge a few times.
func phoneHome(t *testing.T, inside func(args ...string) *exec.Cmd) {
	t.Helper()
	calls := make(chan string, 100)
	edge := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- r.Header.Get("X-Funkypenguin-Token") + " " + string(body)
	}))
	t.Cleanup(edge.Close)
	cmd := inside("phone-home")
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.Env = append(
		cmd.Env, "WEBHOOK="+edge.URL+"/hooks/update-haproxy", "WEBHOOK_TOKEN=s3cr3t", "FRONTEND_PORT=8443", "BACKEND_PORT=30843",
		"NAME=shop", "REPEAT_INTERVAL=1", "HOST_IP=203.0.113.7")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	next := func() string {
		var call string
		testwait.Until(t, "a call", func() bool {
			select {
			case call = <-calls:
				return true
			default:
				return false
			}
		})
		return call
	}
	const want = `s3cr3t {"dst-ip":"203.0.113.7","frontend-port":"8443","backend-port":"30843","action":"add","name":"shop","send-proxy":""}`
	for range 4 {
		if call := next(); call != want {
			t.Errorf("got  %s\nwant %s", call, want)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	resident := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if kilobytes, err := strconv.Atoi(string(resident[1])); err != nil || kilobytes > 20_000 {
		t.Errorf("%s kB are resident, want less than 20 MB", resident[1])
	} else {
		t.Logf("%d kB are resident", kilobytes)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	for {
		if call := next(); call != want {
			if call != strings.Replace(want, "add", "delete", 1) {
				t.Errorf("the last call was %s", call)
			}
			return
		}
	}
}

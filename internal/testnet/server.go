package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The ports are below those that the kernel gives to whoever asks for any.
const firstPort, ports = 12000, 20000

// lastPort is a variable of the process because what it keeps apart are its tests.
var lastPort atomic.Uint32

// FreePort is a port of its own: no other test of this process gets it, and the
// kernel gives it to nobody.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	port, err := FindPort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// FindPort is FreePort for where there is no testing.TB.
func FindPort() (uint16, error) {
	lastPort.CompareAndSwap(0, 1+rand.Uint32N(ports))
	for range 1000 {
		port := uint16(firstPort + lastPort.Add(1)%ports)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("find a free port: a thousand are taken")
}

// Server is an HTTP server that ends with its test, or by Close, which closes its
// connections too.
type Server struct {
	*http.Server
	Address netip.AddrPort
}

// Serve serves at an address such as "127.0.0.1:0".
func Serve(t testing.TB, address string, h http.Handler) *Server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}, netip.MustParseAddrPort(l.Addr().String())}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve %s: %v", address, err)
		}
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return s
}

// Text answers every request with a text.
func Text(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	})
}

// Get asks once, over a connection of its own. The host may be empty for the URL's.
func Get(ctx context.Context, url, host string) (code int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host, req.Close = host, true
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// Folder is one for sockets: its path is short enough, and the user that a server
// runs as may enter it. It goes with the test, and so do processes that were
// started for a socket in it, also when the test fails before it ends them.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lf") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endDaemons(t, dir)
		_ = os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// endDaemons ends what runs detached from the test, by its arguments.
func endDaemons(t testing.TB, dir string) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, file := range files {
		args, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(args, []byte("\x00"+dir+"/")) {
			continue // it ended, or is another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		t.Logf("ending what was left running: pid %d: %s", pid, bytes.ReplaceAll(args, []byte{0}, []byte(" ")))
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
}

package phonehome_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// origin ends TLS with a certificate of its own, and says the client's address: that
// of the connection, or of the PROXY protocol's version 2.
func origin(t *testing.T, address, name string, proxied bool) {
	t.Helper()
	certFile, keyFile := filepath.Join(t.TempDir(), "crt"), filepath.Join(t.TempDir(), "key")
	writeCertificate(t, certFile, keyFile, name)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				client := conn.RemoteAddr().String()
				if proxied {
					if client, err = proxyHeader(conn); err != nil {
						return // a health check
					}
				}
				secure := tls.Server(conn, config)
				if secure.Handshake() == nil {
					host, _, _ := net.SplitHostPort(client)
					_, _ = io.WriteString(secure, host)
					_ = secure.Close()
				}
			}()
		}
	}()
}

// proxyHeader reads the header of a client over IPv4.
func proxyHeader(r io.Reader) (string, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(r, rest); err != nil {
		return "", err
	}
	if string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || head[12] != 0x21 || len(rest) < 12 {
		return "", errors.New("no proxied connection")
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest[:4])), binary.BigEndian.Uint16(rest[8:])).String(), nil
}

// pieces sends what it is given in small pieces.
type pieces struct{ net.Conn }

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = p.Conn.Write(b[n:min(n+7, len(b))])
		n += m
	}
	return n, err
}

// secure asks by a name and returns whose certificate it saw and what was said.
func secure(name string, over func(net.Conn) net.Conn) (string, error) {
	conn, err := net.DialTimeout("tcp", "192.0.2.10:443", 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if over != nil {
		conn = over(conn)
	}
	c := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		return "", err
	}
	said, err := io.ReadAll(c)
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName + " " + string(said), err
}

func secured(t *testing.T, name, want string) {
	t.Helper()
	testwait.UntilSeen(t, name+" is passed through to "+want, func() (bool, string) {
		got, err := secure(name, nil)
		return err == nil && got == want, fmt.Sprint(got, err)
	})
}

func refused(t *testing.T, name string) {
	t.Helper()
	if got, err := secure(name, nil); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset by peer") {
		t.Errorf("name %q: %q %v, want an end of the connection", name, got, err)
	}
}

// passing runs an edge on which both clients may have hosts.
func passing(t *testing.T) *edge {
	t.Helper()
	const before = `token: token-of-cluster-b, ports: ["8000-8999"]`
	text := strings.Replace(file, before, before+`, hosts: ["*.apps.example.com"]`, 1)
	return newEdgeOf(t, fmt.Sprintf(text, t.TempDir(), testnet.Folder(t)))
}

func putTLS(t *testing.T, token, name, address, host, more string, want int) answer {
	t.Helper()
	a := ask(t, token, http.MethodPut, "/v1/registrations/"+name,
		fmt.Sprintf(`{"address":%q,"ports":[{"protocol":"tls","hosts":[%q],"targetPort":30443%s}]}`, address, host, more))
	if a.code != want || len(a.Ports) != 1 {
		t.Fatalf("%s at %s: %d %s; want %d", host, address, a.code, a.text, want)
	}
	return a
}

// TestPassThrough: two origins with certificates of their own behind one port.
func TestPassThrough(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := passing(t)
	origin(t, "203.0.113.1:30443", "one", false)
	origin(t, "203.0.113.2:30443", "two", true)
	const vault, others, tls = "vault.apps.example.com", "*.apps.example.com", "192.0.2.10:443"
	if conn, err := net.Dial("tcp", tls); err == nil {
		conn.Close()
		t.Error("the port is open before anybody asks for it")
	}
	body := `{"address":"203.0.113.1","ports":[{"protocol":"tls","hosts":["` + vault + `"],"targetPort":30443}]}`
	if got := curl(t, "-X", "PUT", "-H", "Authorization: Bearer "+tokenA, "-H", "Content-Type: application/json", "-d", body,
		base+"/v1/registrations/vault"); !strings.HasSuffix(got, "|201") || !strings.Contains(got, `"served":true`) {
		t.Errorf("answered %s", got)
	}
	secured(t, vault, "one 203.0.113.1")
	refused(t, "other.apps.example.com")
	if a := putTLS(t, tokenB, "others", "203.0.113.2", others, `,"sendProxy":2`, http.StatusCreated); !a.Ports[0].Served {
		t.Errorf("answered %s", a.text)
	}
	secured(t, "other.apps.example.com", "two 192.0.2.10")
	secured(t, "OTHER.apps.Example.com", "two 192.0.2.10")
	secured(t, vault, "one 203.0.113.1")
	for _, name := range []string{"a.b.apps.example.com", "apps.example.com", "example.com", "unknown.test", ""} {
		refused(t, name)
	}
	t.Run("a greeting in pieces", func(t *testing.T) {
		if got, err := secure(vault, func(c net.Conn) net.Conn { return pieces{c} }); got != "one 203.0.113.1" {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("no TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp", tls)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", vault)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil && !strings.Contains(err.Error(), "reset by peer") {
			t.Errorf("%q %v, want an end of the connection", got, err)
		}
	})
	t.Run("one name for two clients", func(t *testing.T) {
		p := putTLS(t, tokenB, "mine", "203.0.113.2", vault, "", http.StatusCreated).Ports[0]
		if p.Served || p.Reason != "RouteConflict" || !strings.Contains(p.Message, "cluster-a/vault, which is older") {
			t.Errorf("answered %+v", p)
		}
		secured(t, vault, "one 203.0.113.1")
	})
	e.neighbour(t)
}

// TestPassThroughLives: endpoints come and go under load, and the agent does.
func TestPassThroughLives(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := passing(t)
	const vault = "vault.apps.example.com"
	for i := 1; i <= 3; i++ {
		origin(t, fmt.Sprintf("203.0.113.%d:30443", i), fmt.Sprint("origin", i), false)
	}
	putTLS(t, tokenA, "vault", "203.0.113.1", vault, "", http.StatusCreated)
	secured(t, vault, "origin1 203.0.113.1")
	reloads := e.reloads(t)

	var asked atomic.Int64
	var clients sync.WaitGroup
	end := make(chan struct{})
	for range 3 {
		clients.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if got, err := secure(vault, nil); err != nil || !strings.HasPrefix(got, "origin") {
					t.Errorf("%q %v", got, err)
				}
				asked.Add(1)
			}
		})
	}
	for i := range 9 {
		come, leave := fmt.Sprintf("203.0.113.%d", (i+1)%3+1), fmt.Sprintf("203.0.113.%d", i%3+1)
		putTLS(t, tokenA, "vault", come, vault, "", http.StatusCreated)
		after := asked.Load() + 20
		testwait.Until(t, "clients go on", func() bool { return asked.Load() >= after })
		if a := ask(t, tokenA, http.MethodDelete, "/v1/registrations/vault?address="+leave, ""); a.code != http.StatusNoContent {
			t.Errorf("%d %s", a.code, a.text)
		}
	}
	close(end)
	clients.Wait()
	if got := e.reloads(t); got != reloads {
		t.Errorf("%d reloads for endpoints", got-reloads)
	}

	e.end()
	secured(t, vault, "origin1 203.0.113.1")
	e.start(t)
	testwait.UntilSeen(t, "it is there again", func() (bool, string) {
		s := e.app.Status(t.Context())
		return s.Ready && len(s.Registrations) == 1, fmt.Sprint(s.Registrations, s.Waiting)
	})
	if s := e.app.Status(t.Context()); s.HAProxy.Reloads != 0 {
		t.Errorf("%d reloads for a restart, %v", s.HAProxy.Reloads, s.Changes)
	}
	secured(t, vault, "origin1 203.0.113.1")
	e.neighbour(t)
}

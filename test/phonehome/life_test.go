package phonehome_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestSilence: who falls silent goes, alone at once, and many together when the
// guard lets them.
func TestSilence(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	serve(t, "203.0.113.1:30843", "one")
	serve(t, "203.0.113.2:30843", "two")
	put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, `"leaseSeconds":10,`, http.StatusCreated)
	put(t, tokenA, "shop", "203.0.113.2", 8443, 30843, "", http.StatusCreated)
	answers(t, 8443, "", "two")
	state := func(want string) {
		t.Helper()
		testwait.UntilSeen(t, "203.0.113.1 is "+want, func() (bool, string) {
			all := e.registrations(t)
			for _, r := range all {
				if r.Address.String() == "203.0.113.1" {
					return r.State == want, fmt.Sprint(all)
				}
			}
			return want == "gone", fmt.Sprint(all)
		})
	}
	state("late")
	for range 5 {
		answers(t, 8443, "", "two")
	}
	put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, `"leaseSeconds":10,`, http.StatusOK)
	answers(t, 8443, "", "one")
	state("late")
	state("gone")
	answers(t, 8443, "", "two")

	for i := range 12 {
		put(t, tokenB, fmt.Sprint("n", i), "203.0.113.1", 8100+i, 30843, `"leaseSeconds":10,`, http.StatusCreated)
	}
	for i := range 12 { // once more, so that they end together
		put(t, tokenB, fmt.Sprint("n", i), "203.0.113.1", 8100+i, 30843, `"leaseSeconds":10,`, http.StatusOK)
	}
	e.finding(t, "RemovalHeld", "routes")
	answers(t, 8100, "", "one")
	e.neighbour(t)
}

// TestTLS: certificate and token are read again when they change, and old versions
// of TLS are refused.
func TestTLS(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	dir := t.TempDir()
	cert, key, token := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "token")
	writeCertificate(t, cert, key, "first")
	write(t, token, "one\n")
	text := fmt.Sprintf(file, t.TempDir(), testnet.Folder(t))
	text = strings.Replace(text, "insecure: true", fmt.Sprintf("tls: {certFile: %s, keyFile: %s}", cert, key), 1)
	text = strings.Replace(text, "token: token-of-cluster-a", "tokenFile: "+token, 1)
	e := newEdgeOf(t, text)
	var name atomic.Value
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			name.Store(s.PeerCertificates[0].Subject.CommonName)
			return nil
		},
	}}}
	call := func(token string) (code int, err error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(base, "http:", "https:", 1)+"/v1/whoami", nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	is := func(token, certificate string, want int) {
		t.Helper()
		testwait.UntilSeen(t, fmt.Sprint(token, " at ", certificate, " gets ", want), func() (bool, string) {
			code, err := call(token)
			return err == nil && code == want && name.Load() == certificate, fmt.Sprint(code, err, name.Load())
		})
	}
	is("one", "first", http.StatusOK)
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if c, err := tls.Dial("tcp", "192.0.2.10:9443", old); err == nil {
		c.Close()
		t.Error("TLS 1.1 is taken")
	}
	write(t, token, "two")
	is("two", "first", http.StatusOK)
	is("one", "first", http.StatusUnauthorized)
	write(t, key, "half written")
	e.finding(t, "CertificateUnreadable", "read the certificate")
	is("two", "first", http.StatusOK)
	writeCertificate(t, cert, key, "second")
	is("two", "second", http.StatusOK)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"edge.test"}}
	template.Subject.CommonName = name
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// TestWrongTokens: answers to them wait, and right ones from the same address do
// not: each comes while wrong ones are still waiting that were sent before it.
func TestWrongTokens(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	newEdge(t)
	for range 5 { // by now the next waits for seconds
		ask(t, "wrong", http.MethodGet, "/v1/whoami", "")
	}
	const many = 200
	var wg sync.WaitGroup
	var waiting atomic.Int32
	for range many {
		waiting.Add(1)
		wg.Go(func() {
			defer waiting.Add(-1)
			if a := ask(t, "wrong", http.MethodGet, "/v1/whoami", ""); a.code != http.StatusUnauthorized {
				t.Errorf("%d %s", a.code, a.text)
			}
		})
	}
	for range 20 {
		before := waiting.Load()
		if a := ask(t, tokenA, http.MethodGet, "/v1/whoami", ""); a.code != http.StatusOK {
			t.Errorf("%d %s", a.code, a.text)
		}
		if before > 0 && waiting.Load() == 0 {
			t.Error("a right token waited for all wrong ones")
		}
	}
	wg.Wait()
}

// TestHostileConnections: bodies that never end and requests that are none do not
// keep others out.
func TestHostileConnections(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	t.Run("a body of a gigabyte", func(t *testing.T) {
		c, err := net.Dial("tcp", "192.0.2.10:9443")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "PUT /v1/registrations/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n", tokenA)
		chunk := bytes.Repeat([]byte(" "), 1<<16)
		sent := 0
		for ; sent < 1<<30; sent += len(chunk) {
			if _, err := c.Write(chunk); err != nil {
				break // it has been answered and closed
			}
		}
		if sent > 1<<28 {
			t.Errorf("%d bytes were taken", sent)
		}
	})
	for _, bad := range []string{"\x16\x03\x01\x02\x00", "GET /" + strings.Repeat("x", 1<<20), "PUT / HTTP/1.1\r\n\r\n", "\x00"} {
		c, err := net.Dial("tcp", "192.0.2.10:9443")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte(bad))
	}
	if a := ask(t, tokenA, http.MethodGet, "/v1/whoami", ""); a.code != http.StatusOK {
		t.Errorf("%d %s", a.code, a.text)
	}
	e.neighbour(t)
}

// TestFullDisk: what cannot be kept is served all the same, and kept when it can be.
func TestFullDisk(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	state := t.TempDir()
	small := filepath.Join(state, "phonehome")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64k", "none", small).CombinedOutput(); err != nil {
		t.Fatalf("mount a tmpfs: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", small).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	e := newEdgeOf(t, fmt.Sprintf(file, state, testnet.Folder(t)))
	filler := filepath.Join(small, "filler")
	_ = os.WriteFile(filler, make([]byte, 1<<20), 0o600) // as much of it as there is room for
	serve(t, "203.0.113.1:30843", "one")
	if a := put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, "", http.StatusCreated); !a.Ports[0].Served {
		t.Errorf("answered %s", a.text)
	}
	for i := range 40 {
		put(t, tokenA, fmt.Sprint("n", i), "203.0.113.1", 8443, 30843, "", http.StatusCreated)
	}
	answers(t, 8443, "", "one")
	e.finding(t, "StateNotKept", "no space left on device")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	testwait.UntilSeen(t, "it is kept", func() (bool, string) {
		text := fmt.Sprint(e.app.Status(t.Context()).Findings)
		return !strings.Contains(text, "StateNotKept"), text
	})
	e.end()
	e.start(t)
	if n := len(e.registrations(t)); n != 41 {
		t.Errorf("%d registrations after the restart", n)
	}
}

// TestCheckWhileItRuns: landfall check and render neither take the port nor write.
func TestCheckWhileItRuns(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	serve(t, "203.0.113.1:30843", "one")
	put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, "", http.StatusCreated)
	testwait.UntilSeen(t, "check sees the registration", func() (bool, string) {
		checks, err := app.Check(t.Context(), e.file, false, app.Options{Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(checks)
		return strings.Contains(text, "source homes true answers") && strings.Contains(text, "port 8443 true") && strings.Contains(text, "phoneHome.insecure"), text
	})
	parsed := *e.file
	parsed.Sources = append([]spec.Source(nil), e.file.Sources...)
	rendered, err := app.Render(t.Context(), &parsed, app.Options{Version: "test"})
	if err != nil || !strings.Contains(rendered.Text(), "203.0.113.1:30843") {
		t.Errorf("%v %s", err, rendered.Text())
	}
}

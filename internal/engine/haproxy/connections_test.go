package haproxy_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestLongConnectionsSurviveReloads: a websocket and a TCP connection go on over
// three reloads, and the old workers end when they do.
func TestLongConnectionsSurviveReloads(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, tcpPort := testnet.FreePort(t), testnet.FreePort(t)
	want := webState(port, httpBackend("home/web/shop/80/http", handle(t, websocketEcho)))
	const db = "home/db/pg/5432"
	want.Listeners = append(want.Listeners, tcpListener(db, tcpPort))
	want.Routes = append(want.Routes, &model.Route{Name: db, Listener: db, Backends: []model.WeightedBackend{{Name: db, Weight: 1}}})
	want.Backends = append(want.Backends, &model.Backend{
		Name: db, Protocol: model.TCP,
		Endpoints: []model.Endpoint{{Address: tcpEcho(t)}},
	})
	sortState(&want)
	e.apply(want)

	web := dial(t, port)
	fmt.Fprint(web, "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	fromWeb := bufio.NewReader(web)
	resp, err := http.ReadResponse(fromWeb, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no upgrade: %v %v", resp, err)
	}
	tcp := dial(t, tcpPort)
	fromTCP := bufio.NewReader(tcp)
	talk := func(what string) {
		t.Helper()
		for name, c := range map[string]struct {
			io.Writer
			*bufio.Reader
		}{"websocket": {web, fromWeb}, "TCP": {tcp, fromTCP}} {
			fmt.Fprintln(c.Writer, what)
			if line, err := c.ReadString('\n'); err != nil || line != what+"\n" {
				t.Errorf("%s: the %s connection answers %q, %v", what, name, line, err)
			}
		}
	}
	talk("before")
	for i := range 3 {
		want.Listeners = append(slices.Clone(want.Listeners), tcpListener(fmt.Sprintf("home/web/other/%d", i), testnet.FreePort(t)))
		sortState(&want)
		if done := e.apply(want); done.Way != engine.Reload {
			t.Fatalf("a new port by %q", done.Way)
		}
		talk(fmt.Sprintf("after reload %d", i+1))
	}
	workers := func() int {
		stats, err := e.Stats(t.Context(), engine.Brief)
		if err != nil {
			t.Fatal(err)
		}
		return len(stats.Workers)
	}
	if n := workers(); n < 2 {
		t.Errorf("%d workers; the one with the connections must be among them", n)
	}
	web.Close()
	tcp.Close()
	testwait.Until(t, "old workers end", func() bool { return workers() == 1 })
}

func dial(t testing.TB, port uint16) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// websocketEcho agrees to the upgrade and then returns what it gets. Frames are
// the endpoints' business.
func websocketEcho(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no upgrade asked for", http.StatusBadRequest)
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	rw.Flush()
	io.Copy(conn, rw)
}

func tcpEcho(t testing.TB) netip.AddrPort {
	t.Helper()
	return acceptor(t, func(c net.Conn) { io.Copy(c, c) })
}

// acceptor hands every connection on.
func acceptor(t testing.TB, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// TestGRPC: HTTP/2 in clear from end to end, with a conversation in both
// directions and trailers, as gRPC has it.
func TestGRPC(t *testing.T) {
	t.Parallel()
	pod := &endpoint{}
	var both http.Protocols
	both.SetUnencryptedHTTP2(true)
	pod.protocols = &both
	pod.start(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, lines.Text(), r.Proto)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("Grpc-Status", "0")
	}))
	e := newEdge(t)
	port := testnet.FreePort(t)
	b := httpBackend("home/web/shop/80/http", pod.address)
	b.Protocol = model.H2C
	e.apply(webState(port, b))

	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &h2c}
	defer transport.CloseIdleConnections()
	body, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/shop.Cart/Watch", port), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.test"
	req.Header.Set("Te", "trailers")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} { // each is answered before the next is sent
		fmt.Fprintln(out, word)
		if line, err := in.ReadString('\n'); err != nil || line != word+" HTTP/2.0\n" {
			t.Fatalf("%s is answered %q, %v", word, line, err)
		}
	}
	out.Close()
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("the answer ends with %q, %v", rest, err)
	}
	if got := resp.Trailer.Get("Grpc-Status"); got != "0" || resp.ProtoMajor != 2 {
		t.Errorf("trailer %q by %s", got, resp.Proto)
	}
}

// TestLargeBodies: 50 MB go up and other 50 MB come down, unchanged.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	const size = 50 << 20
	pod := handle(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		w.Header().Set("X-Got", fmt.Sprintf("%d %x %v", n, sum.Sum(nil), err))
		io.Copy(w, noise(2, size))
	})
	e := newEdge(t)
	port := testnet.FreePort(t)
	e.apply(webState(port, httpBackend("home/web/shop/80/http", pod)))
	for _, length := range []int64{size, -1} { // -1: in chunks
		up := sha256.New()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", port), io.TeeReader(noise(1, size), up))
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.ContentLength = "shop.test", length
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		down, want := sha256.New(), sha256.New()
		n, err := io.Copy(down, resp.Body)
		resp.Body.Close()
		io.Copy(want, noise(2, size))
		if got := resp.Header.Get("X-Got"); got != fmt.Sprintf("%d %s <nil>", size, hexSum(up)) {
			t.Errorf("length %d: went up as %s", length, got)
		}
		if err != nil || hexSum(down) != hexSum(want) {
			t.Errorf("length %d: %d bytes came down as something else: %v", length, n, err)
		}
	}
}

func hexSum(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)) }

func noise(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

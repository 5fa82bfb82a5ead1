package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Backends are the servers that stand behind the sample manifests, on loopback
// addresses. Each answers with its name and with what it was asked.
type Backends struct {
	services  Services
	listeners []net.Listener
	names     []string
	https     []*http.Server

	wg sync.WaitGroup
	mu sync.Mutex
	// conns are the open TCP connections; nil once closed.
	conns map[net.Conn]bool
}

// Listen opens the servers' ports, free ones, for Start to answer on.
func Listen(ctx context.Context) (*Backends, error) {
	b := &Backends{conns: make(map[net.Conn]bool)}
	for _, s := range []struct {
		name         string
		count, spare int
		into         *Endpoints
	}{
		{"shop", 2, 1, &b.services.Shop},
		{"api", 2, 0, &b.services.API},
		{"hello", 3, 0, &b.services.Hello},
		{"sticky", 3, 0, &b.services.Sticky},
	} {
		opened, err := sharePort(ctx, s.count+s.spare)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open ports of the sample service %s: %w", s.name, err), b.Close())
		}
		for i, l := range opened {
			b.listeners = append(b.listeners, l)
			b.names = append(b.names, s.name+"-"+strconv.Itoa(i+1))
			at := netip.MustParseAddrPort(l.Addr().String())
			s.into.Port = at.Port()
			if i < s.count {
				s.into.Addresses = append(s.into.Addresses, at.Addr())
			} else {
				s.into.Spare = at.Addr()
			}
		}
	}
	return b, nil
}

// sharePort listens on count loopback addresses, 127.0.0.1 and those behind it, on
// a port that is free on all of them.
func sharePort(ctx context.Context, count int) ([]net.Listener, error) {
	const tries = 50
	var config net.ListenConfig
	var last error
	for range tries {
		port := "0"
		var opened []net.Listener
		for i := range count {
			l, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0."+strconv.Itoa(i+1), port))
			if err != nil {
				last = err
				break
			}
			opened = append(opened, l)
			_, port, last = net.SplitHostPort(l.Addr().String())
		}
		if len(opened) == count {
			return opened, last
		}
		for _, l := range opened {
			last = errors.Join(last, l.Close())
		}
	}
	return nil, last
}

// Services are the addresses to write into the manifests.
func (b *Backends) Services() Services { return b.services }

// Start answers until Close.
func (b *Backends) Start() {
	for i, l := range b.listeners {
		name := b.names[i]
		if strings.HasPrefix(name, "hello-") {
			b.wg.Go(func() { b.serveTCP(l, name) })
			continue
		}
		server := &http.Server{
			Handler:           answer(name, l.Addr().String()),
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       5 * time.Minute, // longer than HAProxy keeps a connection
			MaxHeaderBytes:    64 << 10,
		}
		b.https = append(b.https, server)
		b.wg.Go(func() {
			// It ends with http.ErrServerClosed and nothing else: the port is open.
			_ = server.Serve(l)
		})
	}
}

// Close closes the ports and every connection, and waits for the end of it.
func (b *Backends) Close() error {
	var errs []error
	for _, s := range b.https {
		errs = append(errs, s.Close())
	}
	for _, l := range b.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	b.mu.Lock()
	for c := range b.conns {
		_ = c.Close() // its reader ends with it
	}
	b.conns = nil
	b.mu.Unlock()
	b.wg.Wait()
	return errors.Join(errs...)
}

// answer says who answers, and what was asked.
func answer(name, address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Served-By", name)
		fmt.Fprintf(w, "%s on %s\n\n%s %s\nHost: %s\n", name, address, r.Method, r.URL.RequestURI(), r.Host)
		keys := make([]string, 0, len(r.Header))
		for k := range r.Header {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			for _, v := range r.Header[k] {
				fmt.Fprintf(w, "%s: %s\n", k, v)
			}
		}
	})
}

func (b *Backends) serveTCP(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one connection, which is gone
		}
		if !b.keep(c) {
			_ = c.Close()
			return
		}
		b.wg.Go(func() {
			defer b.forget(c)
			greet(c, name)
		})
	}
}

func (b *Backends) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		return false
	}
	b.conns[c] = true
	return true
}

func (b *Backends) forget(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	_ = c.Close() // nothing more is said on it
}

// greet says hello to a client, and then repeats what it says. One that begins
// with an HTTP request gets an answer in HTTP.
func greet(c net.Conn, name string) {
	const hesitation, silence = 100 * time.Millisecond, 10 * time.Minute
	hello := fmt.Sprintf("hello from %s on %s\n", name, c.LocalAddr())
	r := bufio.NewReader(c)
	if c.SetReadDeadline(time.Now().Add(hesitation)) != nil {
		return
	}
	if first, _ := r.Peek(4); isHTTP(first) { // an error comes again when it is read
		if c.SetReadDeadline(time.Now().Add(10*time.Second)) != nil {
			return
		}
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(hello), hello)
		return
	}
	if _, err := io.WriteString(c, hello); err != nil {
		return
	}
	for c.SetReadDeadline(time.Now().Add(silence)) == nil {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			if _, err := c.Write(append([]byte(name+": "), line...)); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func isHTTP(first []byte) bool {
	switch string(first) {
	case "GET ", "HEAD", "POST", "PUT ":
		return true
	}
	return false
}

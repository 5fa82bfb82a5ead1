package phonehome

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 20 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	// maxConnections is how many are served at a time; others wait to be accepted.
	maxConnections = 16384
	listenAgain    = time.Second
	endWithin      = time.Second
)

// serve listens until ctx ends, again after a failure.
func (s *Source) serve(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		s.fails(err)
		timer := time.NewTimer(listenAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// fails notes why nobody can register; nil is that everybody can.
func (s *Source) fails(err error) {
	s.mu.Lock()
	news := (err == nil) != (s.problem == nil) || err != nil && err.Error() != s.problem.Error()
	s.problem = err
	changed := s.changed
	s.mu.Unlock()
	if !news {
		return
	}
	if err != nil {
		s.log.Error("nobody can register", "error", err)
	}
	changed()
}

func (s *Source) listen(ctx context.Context) error {
	if why := s.cert.problem(); why != "" && !s.cert.has() {
		return errors.New(why)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for registrations: %w", err)
	}
	l = &bounded{Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{})}
	if s.cfg.CertFile != "" {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cert.get, NextProtos: []string{"h2", "http/1.1"}})
	}
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.fails(nil)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
		defer cancel()
		if err := server.Shutdown(end); err != nil { // what is under way has had its time
			s.log.Debug("calls were cut off", "error", errors.Join(err, server.Close()))
		}
		err = <-ended
	}
	return err
}

// bounded accepts so many connections at a time.
type bounded struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &slot{Conn: c, free: sync.OnceFunc(func() { <-b.slots })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

type slot struct {
	net.Conn
	free func()
}

func (s *slot) Close() error {
	defer s.free()
	return s.Conn.Close()
}

// certificate is that of the listener, read again when its files change.
type certificate struct {
	certFile, keyFile string

	mu     sync.RWMutex
	have   *tls.Certificate
	stamps [2]stamp
	why    string
}

// stamp says whether a file is another one than before.
type stamp struct {
	size int64
	at   time.Time
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{size: -1}
	}
	return stamp{info.Size(), info.ModTime()}
}

// read takes the files as they are now. A pair that does not fit leaves the one
// before in place: it may be half written.
func (c *certificate) read() {
	if c.certFile == "" {
		return
	}
	now := [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now == c.stamps && c.why == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.why = "read the certificate: " + err.Error()
		return
	}
	c.have, c.stamps, c.why = &pair, now, ""
}

func (c *certificate) problem() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.why
}

func (c *certificate) has() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.have != nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.have == nil {
		return nil, errors.New("no certificate has been read")
	}
	return c.have, nil
}

// Package admin lets an edge be asked how it is doing: health, metrics and
// status over a Unix socket and, if the file says so, over TCP. Only the socket
// can ask it to stop, or to let go what is held back. It hands out no secrets, for it is given none.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
)

// maxSocketPath is how many bytes the kernel lets the path of a Unix socket have.
const maxSocketPath = 107

// What a caller of Open branches on.
var (
	ErrSocketPath = errors.New("path too long for a Unix socket")
	ErrAnswers    = errors.New("another process answers on the socket")
)

// Config is what a Server is made of.
type Config struct {
	Socket string // path
	Listen string // "<address>:<port>"; empty turns it off
	// Snapshot says whether the edge is ready; it is asked often.
	Snapshot func() status.Snapshot
	// Status also asks the engine.
	Status func(ctx context.Context, depth engine.Depth) status.Status
	// Metrics of the edge, and EngineMetrics in the same text format; the latter
	// may be nil.
	Metrics       *Metrics
	EngineMetrics func(ctx context.Context) ([]byte, error)
	// Stop ends the edge and its engine; a drain of 0 cuts what is in flight. The
	// answer is sent after it has returned.
	Stop func(ctx context.Context, drain time.Duration) error
	// Approve lets go what is held back of a source, or of all if it is "", and
	// says what that was.
	Approve func(ctx context.Context, source string) ([]status.Held, error)
	Log     *slog.Logger
}

// Server answers on the socket and the address.
type Server struct {
	config    Config
	listeners []listening
}

type listening struct {
	net.Listener
	server *http.Server
}

// Open opens the socket and the address, so that what is wrong with them shows
// before anything else happens.
func Open(ctx context.Context, c Config) (*Server, error) {
	s := &Server{config: c}
	socket, err := openSocket(ctx, c.Socket)
	if err != nil {
		return nil, err
	}
	s.add(socket, s.handler(true))
	if c.Listen != "" {
		var lc net.ListenConfig
		tcp, err := lc.Listen(ctx, "tcp", c.Listen)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("listen on %s (admin.listen): %w", c.Listen, err)
		}
		s.add(tcp, s.handler(false))
	}
	return s, nil
}

func (s *Server) add(l net.Listener, h http.Handler) {
	s.listeners = append(s.listeners, listening{l, &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      5 * time.Minute, // a stop that drains is answered at its end
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}})
}

// Addr is where the server listens on TCP, or nil.
func (s *Server) Addr() net.Addr {
	if len(s.listeners) < 2 {
		return nil
	}
	return s.listeners[1].Addr()
}

// Run answers until ctx ends, then finishes what it is answering.
func (s *Server) Run(ctx context.Context) error {
	errs := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { errs <- l.server.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range s.listeners {
		wg.Go(func() { _ = l.server.Shutdown(end) })
	}
	wg.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer admin requests: %w", err)
	}
	return nil
}

// Close closes what Open opened, if Run was never called.
func (s *Server) Close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// openSocket listens at path. A socket that a dead process left there is
// replaced; one that answers is left alone.
func openSocket(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s has %d bytes, the kernel takes %d: %w", path, len(path), maxSocketPath, ErrSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("create folder of the admin socket: %w", err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("set the mode of the admin socket: %w", err)
	}
	return l, nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the admin socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on the admin socket: %s exists and is not a socket; remove it, or set admin.socket", path)
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s: %w", path, ErrAnswers)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("ask whether the admin socket is in use: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the admin socket of a process that ended: %w", err)
	}
	return nil
}

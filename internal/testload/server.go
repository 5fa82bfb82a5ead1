package testload

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testnet"
)

// Server answers every request with its name and remembers that it was asked. It
// can really stop, as a pod does, by Shutdown: it then refuses connections, closes
// idle ones, and finishes what it is answering.
type Server struct {
	*testnet.Server
	Asked    atomic.Int64
	lastSent atomic.Int64
}

// Serve starts one at an address such as "127.0.0.1:0".
func Serve(t testing.TB, address, name string) *Server {
	t.Helper()
	s := &Server{}
	s.Server = testnet.Serve(t, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Asked.Add(1)
		for sent := sentAt(r); ; {
			last := s.lastSent.Load()
			if sent <= last || s.lastSent.CompareAndSwap(last, sent) {
				break
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, name)
	}))
	return s
}

// LastSent is when the request was sent that its client sent last of all that came
// here.
func (s *Server) LastSent() time.Time { return time.Unix(0, s.lastSent.Load()) }

package admin

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
)

// FuzzRequest: whatever is asked, only a POST to its path on the socket, with a
// drain that fits, ends the edge or lets go of what is held back.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /v1/status?depth=brief HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/stop?drain=30s HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/stop?drain=-1s HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/stop?drain=%zz&drain=9999h HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/stop HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/approve?source=home HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST //v1/../v1/stop HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/%73top HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	snapshot := func() status.Snapshot { return status.Snapshot{Edge: "shore"} }
	metrics := NewMetrics("v0", snapshot)
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		acted := ""
		s := &Server{config: Config{
			Snapshot: snapshot, Metrics: metrics, Log: slog.New(slog.DiscardHandler),
			Status: func(context.Context, engine.Depth) status.Status { return status.Status{} },
			Stop: func(_ context.Context, drain time.Duration) error {
				if acted = "/v1/stop"; drain < 0 || drain > maxDrain {
					t.Errorf("a drain of %s", drain)
				}
				return nil
			},
			Approve: func(context.Context, string) ([]status.Held, error) { acted = "/v1/approve"; return nil, nil },
		}}
		for _, trusted := range []bool{false, true} {
			acted = ""
			w := httptest.NewRecorder()
			s.handler(trusted).ServeHTTP(w, request.Clone(t.Context()))
			if acted != "" && (!trusted || request.Method != http.MethodPost || request.URL.Path != acted) {
				t.Errorf("%s %q acts as %s, trusted %t", request.Method, request.URL, acted, trusted)
			}
			if w.Code >= http.StatusInternalServerError {
				t.Errorf("%s %q is answered %d", request.Method, request.URL, w.Code)
			}
		}
	})
}

package haproxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Metrics is engine.Metrician's: those of HAProxy's own exporter. With many
// backends only the process's and the frontends' are asked for.
func (e *Engine) Metrics(ctx context.Context) ([]byte, error) {
	const manyBackends = 1000
	if !e.disk.settings.Features.Prometheus {
		return nil, nil
	}
	e.mu.Lock()
	up, backends := e.running.up, len(e.have.Backends)
	e.mu.Unlock()
	if !up {
		return nil, nil
	}
	url := "http://haproxy/metrics?scope=global&scope=frontend"
	if backends <= manyBackends {
		url += "&scope=backend&scope=server"
	}
	path := e.disk.settings.socket(metricsSocket)
	web := &http.Client{Timeout: replyTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := web.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read HAProxy's metrics: %w", err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(bufio.NewReader(resp.Body), replyLimit))
	return b.Bytes(), err
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
)

// ErrNobody means that no edge answers on the socket.
var ErrNobody = errors.New("nobody answers on the socket")

// maxAnswer bounds what a client reads.
const maxAnswer = 256 << 20

// Client asks an edge over its socket.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a client of the edge whose socket this is.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks how the edge is doing.
func (c *Client) Status(ctx context.Context, depth engine.Depth) (status.Status, error) {
	var s status.Status
	path := "/v1/status"
	if depth == engine.Brief {
		path += "?" + depthKey + "=" + briefDepth
	}
	body, err := c.ask(ctx, http.MethodGet, path)
	if err != nil {
		return s, fmt.Errorf("ask for status: %w", err)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// Stop ends the edge and its engine; requests in flight have until drain is over.
func (c *Client) Stop(ctx context.Context, drain time.Duration) error {
	query := url.Values{}
	if drain > 0 {
		query.Set("drain", drain.String())
	}
	if _, err := c.ask(ctx, http.MethodPost, "/v1/stop?"+query.Encode()); err != nil {
		return fmt.Errorf("ask the edge to stop: %w", err)
	}
	return nil
}

// Approve lets go what is held back of a source, or of all if it is "".
func (c *Client) Approve(ctx context.Context, source string) (status.Approved, error) {
	var a status.Approved
	query := url.Values{}
	if source != "" {
		query.Set("source", source)
	}
	body, err := c.ask(ctx, http.MethodPost, "/v1/approve?"+query.Encode())
	if err != nil {
		return a, fmt.Errorf("approve: %w", err)
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("read what was approved: %w", err)
	}
	return a, nil
}

func (c *Client) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://edge"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s: %w", c.socket, ErrNobody)
	}
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the address that nobody knows
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

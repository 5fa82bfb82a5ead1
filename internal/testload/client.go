// Package testload is clients that never retry and servers that remember, on both
// sides of what is tested: whether a request was lost or led astray is judged
// outside of it. It is imported by tests only.
package testload

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/landfall-edge/landfall/internal/testwait"
)

// sentHeader tells a Server when a Client sent a request.
const sentHeader = "Sent"

// Client is one HTTP/1.1 client that never retries: a kept connection that is
// closed without an announcement is a failed request.
type Client struct {
	Address string // of the edge
	From    string // an address of this machine; empty for any
	conn    net.Conn
	answers *bufio.Reader
}

// Close closes the kept connection.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Open reports whether there is a kept connection.
func (c *Client) Open() bool { return c.conn != nil }

// Post sends one request and returns who answered.
func (c *Client) Post(host, path string, keep bool) (string, error) {
	if err := c.dial(); err != nil {
		return "", err
	}
	_ = c.conn.SetDeadline(time.Now().Add(testwait.Patience)) // the write fails as well
	connection := ""
	if !keep {
		connection = "Connection: close\r\n"
	}
	const body = "what a client sends"
	_, err := fmt.Fprintf(c.conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s: %d\r\n%sContent-Length: %d\r\n\r\n%s",
		path, host, sentHeader, time.Now().UnixNano(), connection, len(body), body)
	if err != nil {
		c.Close()
		return "", err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.Close()
		return "", err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.Close {
		c.Close()
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return string(answer), err
}

func (c *Client) dial() error {
	if c.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: testwait.Patience}
	if c.From != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.From)}
	}
	conn, err := d.Dial("tcp", c.Address)
	if err != nil {
		return err
	}
	c.conn, c.answers = conn, bufio.NewReader(conn)
	return nil
}

// sentAt is when a Client sent a request; zero if another did.
func sentAt(r *http.Request) int64 {
	n, _ := strconv.ParseInt(r.Header.Get(sentHeader), 10, 64)
	return n
}

package bench_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds one request.
const patience = 5 * time.Second

// answer is what came to one request.
type answer struct {
	code int
	body string
	last bool // the connection is closed after it
}

// client is one connection. It asks once per request, and never again.
type client struct {
	conn   net.Conn
	in     *bufio.Reader
	forget func() bool
}

// dial connects. When ctx ends, so does what is being asked.
func dial(ctx context.Context, address string) (*client, error) {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	forget := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	return &client{c, bufio.NewReaderSize(c, 1024), forget}, nil
}

func (c *client) close() {
	c.forget()
	_ = c.conn.Close()
}

func (c *client) ask(host string, last bool) (answer, error) {
	request := "GET / HTTP/1.1\r\nHost: " + host + "\r\n"
	if last {
		request += "Connection: close\r\n"
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(c.conn, request+"\r\n"); err != nil {
		return answer{}, err
	}
	return c.read()
}

// read knows as much of HTTP as HAProxy's own answers need.
func (c *client) read() (answer, error) {
	var a answer
	status, err := c.in.ReadString('\n')
	if err != nil {
		return a, err
	}
	if len(status) < 12 {
		return a, fmt.Errorf("answer %q", status)
	}
	if a.code, err = strconv.Atoi(status[9:12]); err != nil {
		return a, fmt.Errorf("answer %q", status)
	}
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		value = strings.TrimSpace(value)
		switch {
		case key == "":
			return a, c.readBody(&a, length)
		case strings.EqualFold(key, "content-length"):
			length, err = strconv.Atoi(value)
		case strings.EqualFold(key, "connection"):
			a.last = strings.EqualFold(value, "close")
		}
		if err != nil {
			return a, err
		}
	}
}

func (c *client) readBody(a *answer, length int) error {
	if length < 0 {
		a.last = true
		body, err := io.ReadAll(c.in)
		a.body = string(body)
		return err
	}
	body := make([]byte, length)
	_, err := io.ReadFull(c.in, body)
	a.body = string(body)
	return err
}

// closed reports whether the other side has closed the connection meanwhile.
func (c *client) closed() bool {
	raw, err := c.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || gone
}

// ask asks once, over a connection of its own.
func ask(ctx context.Context, address, host string) (answer, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return answer{}, err
	}
	defer c.close()
	return c.ask(host, true)
}

// between is the pause between two requests of a client that waits for a change.
const between = 200 * time.Microsecond

// until asks over and over until the right answer comes, and returns when it was
// there. What is wrong with the last one is in the error if ctx ends before.
func until(ctx context.Context, address, host string, right func(answer) bool) (time.Time, error) {
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		a, err := ask(ctx, address, host)
		if err == nil && right(a) {
			return time.Now(), nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s at %s: last answer: %d %q %w", host, address, a.code, a.body, errors.Join(err, context.Cause(ctx)))
		case <-tick.C:
		}
	}
}

// from reports whether an answer came from a pod.
func from(pod string) func(answer) bool {
	return func(a answer) bool {
		return a.code == 200 && strings.TrimSuffix(a.body, ":"+strconv.Itoa(podPort)) == pod
	}
}

// good reports whether an answer came from a Service.
func good(service int) func(answer) bool {
	return func(a answer) bool { return a.code == 200 && serviceOf(a.body) == service }
}

// patiently bounds what should come soon.
func patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("nothing came for two minutes"))
}

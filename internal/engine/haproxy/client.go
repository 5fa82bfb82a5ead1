package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// client speaks HAProxy's command line on one of its sockets (management guide,
// section 9.3): one line of commands joined by ";" on one connection, which is
// what every version from 2.6 on understands.
type client struct {
	path string
}

const (
	// replyTimeout bounds the wait for one reply: a HAProxy that hangs is an error.
	replyTimeout = 5 * time.Second
	// lineLimit keeps a line below tune.bufsize (16384), above which 3.2 refuses
	// it and 2.6 drops it silently.
	lineLimit = 12 << 10
	// replyLimit bounds what is read of one reply: 40,000 servers take 10 MB.
	replyLimit = 256 << 20
)

// errNoAnswer: HAProxy took a line and says nothing. It may do yet what it was told.
var errNoAnswer = errors.New("no answer")

// ask sends one line and returns the whole reply.
func (c client) ask(ctx context.Context, line string) (string, error) {
	if len(line) > lineLimit {
		return "", fmt.Errorf("ask %s: a line of %d bytes is above %d", c.path, len(line), lineLimit)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.path)
	if err != nil {
		return "", fmt.Errorf("ask HAProxy: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", fmt.Errorf("ask HAProxy %q: %w", cut(line), err)
	}
	// 2.6's master keeps a connection open until it is half closed.
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return "", fmt.Errorf("ask HAProxy %q: %w", cut(line), err)
	}
	reply, err := io.ReadAll(io.LimitReader(conn, replyLimit))
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w within %s", errNoAnswer, time.Since(began).Round(100*time.Millisecond))
		}
		return "", fmt.Errorf("ask HAProxy %q: %w", cut(line), err)
	}
	return string(reply), nil
}

// run sends commands in as few lines as may be and checks every reply.
func (c client) run(ctx context.Context, commands []command) error {
	for len(commands) > 0 {
		n := oneLine(commands)
		reply, err := c.ask(ctx, join(commands[:n]))
		if err != nil {
			return err
		}
		if err := checkReplies(commands[:n], reply); err != nil {
			return err
		}
		commands = commands[n:]
	}
	return nil
}

// oneLine is how many of the commands go into one line, one at least.
func oneLine(commands []command) int {
	n, size := 0, 0
	for n < len(commands) && (n == 0 || size+len(commands[n].text)+1 <= lineLimit) {
		size += len(commands[n].text) + 1
		n++
	}
	return n
}

func join(commands []command) string {
	texts := make([]string, len(commands))
	for i, c := range commands {
		texts[i] = c.text
	}
	return strings.Join(texts, ";")
}

func cut(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

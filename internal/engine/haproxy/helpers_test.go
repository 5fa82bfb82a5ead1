package haproxy_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
)

func sortState(s *model.State) {
	slices.SortFunc(s.Listeners, func(a, b *model.Listener) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Routes, func(a, b *model.Route) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Backends, func(a, b *model.Backend) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Probes, func(a, b *model.Probe) int { return cmp.Compare(a.Name, b.Name) })
}

func sortEndpoints(b *model.Backend) {
	slices.SortFunc(b.Endpoints, func(a, b model.Endpoint) int { return a.Address.Compare(b.Address) })
}

func tcpListener(name string, port uint16) *model.Listener {
	return &model.Listener{Name: name, VIP: "main", Port: port, Protocol: model.TCP, Addresses: loopback}
}

func asRefused(err error, target **engine.RefusedError) bool { return errors.As(err, target) }

// rawStatus sends a Host that no well-behaved client would.
func rawStatus(t *testing.T, port uint16, host string) string {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// ask is what a person would do with socat.
func ask(t testing.TB, socket, line string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, line+"\n")
	conn.(*net.UnixConn).CloseWrite()
	reply, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

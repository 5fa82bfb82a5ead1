package haproxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// Held is engine.PortFinder's. HAProxy binds with SO_REUSEPORT, so two of them
// would share a port silently: trying to bind finds nothing, /proc does.
func (e *Engine) Held(ctx context.Context, listeners []*model.Listener) ([]model.Held, error) {
	e.mu.Lock()
	extra, have, running := e.extra, e.have, e.running
	e.mu.Unlock()
	ports := map[uint16]bool{}
	for _, l := range listeners {
		ports[l.Port] = true
	}
	var held []model.Held
	for _, h := range extra.held() {
		if ports[h.Port] {
			held = append(held, h)
		}
	}
	sockets, err := listening("/proc", ports)
	if err != nil {
		return nil, err
	}
	ours := map[uint16]bool{}
	for _, l := range have.Listeners {
		ours[l.Port] = true
	}
	for _, pid := range slices.Concat(running.old, []int{running.pid, running.master}) {
		for inode := range socketsOf("/proc", pid) {
			// A port of ours is ours; another port of our process is an extra file's.
			if s, ok := sockets[inode]; ok && ours[s.Port()] {
				delete(sockets, inode)
			}
		}
	}
	return append(held, owners("/proc", sockets, running)...), nil
}

// listening finds the sockets that listen on some ports: inode -> address.
func listening(proc string, ports map[uint16]bool) (map[string]netip.AddrPort, error) {
	found := map[string]netip.AddrPort{}
	for _, file := range []string{"net/tcp", "net/tcp6"} {
		f, err := os.Open(filepath.Join(proc, file))
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("find listening sockets: %w", err)
		}
		err = parseListening(f, ports, found)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("find listening sockets: %w", err)
		}
	}
	return found, nil
}

// parseListening reads /proc/net/tcp (proc(5)). Listening sockets come first, so
// that connections, of which there may be many, are not read.
func parseListening(r io.Reader, ports map[uint16]bool, found map[string]netip.AddrPort) error {
	const listen = "0A"
	lines := bufio.NewScanner(r)
	lines.Scan() // the header
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		if f[3] != listen {
			return nil
		}
		if a, ok := parseKernelAddress(f[1]); ok && ports[a.Port()] {
			found[f[9]] = a
		}
	}
	return lines.Err()
}

// parseKernelAddress reads "0100007F:1F90": 32-bit words in the machine's order.
func parseKernelAddress(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}

// socketsOf are the inodes of a process's sockets.
func socketsOf(proc string, pid int) map[string]bool {
	inodes := map[string]bool{}
	if pid == 0 {
		return inodes
	}
	dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return inodes // it ended
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

// owners names the processes that hold sockets.
func owners(proc string, sockets map[string]netip.AddrPort, ours worker) []model.Held {
	if len(sockets) == 0 {
		return nil
	}
	byInode := map[string]string{}
	entries, _ := os.ReadDir(proc)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		for inode := range socketsOf(proc, pid) {
			if _, wanted := sockets[inode]; !wanted || byInode[inode] != "" {
				continue
			}
			comm, _ := os.ReadFile(filepath.Join(proc, entry.Name(), "comm"))
			owner := fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), pid)
			if pid == ours.pid {
				owner = "the configuration files under haproxy.extra"
			}
			byInode[inode] = owner
		}
	}
	var held []model.Held
	for inode, a := range sockets {
		owner := byInode[inode]
		if owner == "" {
			owner = "another process (its owner cannot be seen from here)"
		}
		held = append(held, model.Held{Address: a.Addr(), Port: a.Port(), Owner: owner})
	}
	slices.SortFunc(held, func(a, b model.Held) int {
		if a.Port != b.Port {
			return int(a.Port) - int(b.Port)
		}
		return a.Address.Compare(b.Address)
	})
	return held
}

// preflight tries every address that the plan would open. HAProxy would pause
// what it serves for two seconds before it gave up on one that cannot be bound.
func (e *Engine) preflight(want model.State, p plan.Plan) error {
	open := map[string]bool{}
	if e.running.up {
		for name := range e.running.loaded.Listeners {
			open[name] = true
		}
		for _, s := range p.Listeners {
			if s.Want != nil {
				delete(open, s.Want.Name)
			}
		}
	}
	refused := &engine.RefusedError{}
	for _, l := range want.Listeners {
		if open[l.Name] {
			continue
		}
		for _, a := range bindTargets(e.disk.settings, l) {
			if err := tryBind(a); err != nil {
				refused.Objects = append(refused.Objects, engine.Refused{Name: l.Name, Message: bindHelp(a, err), Cause: err})
				break
			}
		}
	}
	if len(refused.Objects) > 0 {
		return refused
	}
	return nil
}

func bindTargets(s Settings, l *model.Listener) []netip.AddrPort {
	addrs := l.Addresses
	if len(addrs) == 0 {
		addrs = []netip.Addr{netip.IPv4Unspecified()}
		if s.IPv6 {
			addrs = append(addrs, netip.IPv6Unspecified())
		}
	}
	targets := make([]netip.AddrPort, 0, len(addrs))
	for _, a := range addrs {
		targets = append(targets, netip.AddrPortFrom(a, l.Port))
	}
	return targets
}

// tryBind binds as HAProxy does, without listening: no client can get there.
func tryBind(a netip.AddrPort) error {
	family := syscall.AF_INET
	if a.Addr().Is6() {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	const soReusePort = 15
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1); err != nil {
		return err
	}
	if family == syscall.AF_INET {
		return syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()})
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1); err != nil {
		return err
	}
	sa := &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(i.Index)
		}
	}
	return syscall.Bind(fd, sa)
}

// bindHelp says what to do about an address that cannot be bound.
func bindHelp(a netip.AddrPort, err error) string {
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Sprintf("%s cannot be opened without the right to: run as root, give the service "+
			"AmbientCapabilities=CAP_NET_BIND_SERVICE, or choose a port above 1023", a)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("%s is not an address of this machine: add it to an interface, or correct it under vips", a.Addr())
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("%s is in use by another process: stop it, or choose another port; 'ss -ltnp' names it", a)
	}
	return fmt.Sprintf("%s cannot be opened: %v", a, err)
}

package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/spec"
)

// lockFile lies in the state folder and is locked while an agent uses it.
const lockFile = "landfall.lock"

// errNoBind means that this process may not open a port.
var errNoBind = errors.New("no permission to open the port")

// lock takes the state folder for this process alone, and makes it if missing.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w; run as root, or set stateDir to a folder of your own", err)
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state folder: %w; run as root, or set stateDir to a folder of your own", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		pid, _ := os.ReadFile(path)
		return nil, fmt.Errorf("another landfall (pid %.20s) uses %s; stop it first, or set another stateDir",
			strings.TrimSpace(string(pid)), dir)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// program finds a program by its name also where Debian puts those of
// administrators, which is not on everybody's PATH.
func program(name string) string {
	if _, err := exec.LookPath(name); err == nil || filepath.Base(name) != name {
		return name
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return name
}

// vips are those of the file; one without addresses is every address of the
// machine.
func vips(edge *spec.Edge) []model.VIP {
	out := make([]model.VIP, len(edge.VIPs))
	for i, v := range edge.VIPs {
		out[i] = model.VIP{Name: v.Name, Addresses: v.Addresses}
		if len(v.Addresses) == 0 {
			out[i].Any, out[i].Addresses = true, machineAddresses()
		}
	}
	return out
}

// machineAddresses are those that others can reach this machine by, or loopback
// if there are none.
func machineAddresses() []netip.Addr {
	var global, loopback []netip.Addr
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch addr := prefix.Addr().Unmap(); {
		case addr.IsLoopback():
			loopback = append(loopback, addr)
		case addr.IsGlobalUnicast():
			global = append(global, addr)
		}
	}
	if len(global) == 0 {
		global = loopback
	}
	slices.SortFunc(global, netip.Addr.Compare)
	return slices.Compact(global)
}

// reserved are the edge's own sockets, which nothing else may be.
func reserved(edge *spec.Edge) []netip.AddrPort {
	own := []string{edge.Admin.Listen}
	for _, s := range edge.Sources {
		if s.PhoneHome != nil {
			own = append(own, s.PhoneHome.Listen)
		}
	}
	var out []netip.AddrPort
	for _, listen := range own {
		host, port, err := net.SplitHostPort(listen)
		if err != nil { // it is turned off
			continue
		}
		if host == "" {
			host = "::"
		}
		if addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err == nil {
			out = append(out, addr)
		}
	}
	return out
}

// mayBind reports an error if this process may not open a port at all, whoever
// else holds it.
func mayBind(port uint16, field string) error {
	if port == 0 || port >= 1024 {
		return nil
	}
	err := tryBind(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("open port %d (%s): %w; run as root, give the program the capability CAP_NET_BIND_SERVICE "+
			"(systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or set %s above 1023", port, field, errNoBind, field)
	}
	return nil
}

// tryBind binds without listening, so that no client can get there, and beside
// whoever else binds with SO_REUSEPORT.
func tryBind(a netip.AddrPort) error {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if a.Addr().Is4() {
		to = &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return err
		}
	}
	return unix.Bind(fd, to)
}

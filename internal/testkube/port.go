package testkube

import (
	"os"
	"syscall"
	"testing"
)

// holdPort returns a free port of 127.0.0.1 and holds it until the test ends, by
// a socket that is bound and never listens. As long as no one listens, connections
// are refused; the apiserver may listen on it beside, since both set SO_REUSEADDR;
// and the kernel gives the port to no one else, not even while the apiserver is
// stopped, when its clients' own calls might otherwise get it.
func holdPort(t testing.TB) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return address.(*syscall.SockaddrInet4).Port
}

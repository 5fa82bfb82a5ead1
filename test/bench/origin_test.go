package bench_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// origin is what stands behind the edge: every pod, every node port and every
// node's health. It answers with the address that was asked. It is a HAProxy, as
// the cheapest server there is.
type origin struct {
	cmd    *exec.Cmd
	socket string
	dead   string // list of addresses that do not answer
}

func startOrigin(t testing.TB, haproxy, address string) *origin {
	t.Helper()
	dir := testnet.Folder(t)
	o := &origin{socket: filepath.Join(dir, "origin.sock"), dead: filepath.Join(dir, "dead.lst")}
	config := fmt.Sprintf(`
global
  stats socket %s level admin
  nbthread 1
  maxconn 5000
defaults
  mode http
  timeout client 5m
frontend origin
  bind %[2]s:%[3]d
  bind %[2]s:%[4]d
  bind %[2]s:%[5]d-%[6]d
  http-request reject if { dst -f %[7]s }
  http-request return status 200 content-type text/plain lf-string "%%[dst]:%%[dst_port]"
`, o.socket, address, podPort, probePort, firstNode, spareNodePort, o.dead)
	file := filepath.Join(dir, "origin.cfg")
	for path, text := range map[string]string{file: config, o.dead: ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.cmd = foreground(t, haproxy, "-db", "-f", file)
	testwait.Until(t, "origin answers", func() bool {
		c, err := net.Dial("unix", o.socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return o
}

// foreground starts a program that ends with the test, and with this process. It
// has a session of its own, as the edge's HAProxy has: Linux divides its processors
// among sessions first.
func foreground(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// kill makes a pod end without an answer, and revive brings it back.
func (o *origin) kill(pod string) error { return o.tell("add acl " + o.dead + " " + pod) }

func (o *origin) revive(pod string) error { return o.tell("del acl " + o.dead + " " + pod) }

func (o *origin) tell(command string) error {
	c, err := net.Dial("unix", o.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(c, command); err != nil {
		return err
	}
	var answer [256]byte
	n, _ := c.Read(answer[:])
	if text := strings.TrimSpace(string(answer[:n])); text != "" {
		return fmt.Errorf("origin: %s: %s", command, text)
	}
	return nil
}

package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// command is one runtime command and what its success says.
type command struct {
	text string
	// want is the exact success reply; most commands say nothing.
	want string
}

const serverRegistered = "New server registered."

// checkReplies compares the reply to several joined commands with what their
// success says. A reply is a message, or nothing, and an empty line.
func checkReplies(commands []command, reply string) error {
	rest := reply
	for _, c := range commands {
		var got string
		got, rest = nextReply(rest)
		if got != c.want {
			return fmt.Errorf("HAProxy refused %q: %s", cut(c.text), strings.TrimSpace(got))
		}
	}
	return nil
}

// nextReply cuts the first reply off.
func nextReply(s string) (reply, rest string) {
	if r, ok := strings.CutPrefix(s, "\n"); ok {
		return "", r
	}
	i := strings.Index(s, "\n\n")
	if i < 0 {
		return strings.TrimRight(s, "\n"), ""
	}
	return s[:i], s[i+2:]
}

// deletions cuts the replies to "del server" apart: a line each, which from 3.0 on
// an empty one follows.
func deletions(reply string) []string {
	return slices.DeleteFunc(strings.Split(reply, "\n"), func(line string) bool { return line == "" })
}

// process is one line of "show proc".
type process struct {
	pid     int
	old     bool
	reloads int
	failed  int // of the master: reloads that failed
	version string
}

// parseProcesses reads "show proc": the master first, then workers, the current
// one first. 3.2 lists a worker whose reload failed under "old workers".
func parseProcesses(reply string) (master process, workers []process) {
	section := ""
	for line := range strings.Lines(reply) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			section = line
			continue
		}
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		p := process{version: f[len(f)-1]}
		p.pid, _ = strconv.Atoi(f[0])
		p.reloads, _ = strconv.Atoi(f[2])
		switch f[1] {
		case "master":
			if i := strings.Index(line, "[failed: "); i >= 0 {
				p.failed, _ = strconv.Atoi(strings.TrimSuffix(strings.Fields(line[i+len("[failed: "):])[0], "]"))
			}
			master = p
		case "worker":
			p.old = section == "# old workers"
			workers = append(workers, p)
		}
	}
	return master, workers
}

// server is one line of "show servers state".
type server struct {
	backend, name string
	address       netip.AddrPort
	up            bool // operational state
	maint         bool // administrative state
	weight        int
	checked       bool // the last check has a result
	passed        bool
	checkAddress  netip.AddrPort
}

// parseServers reads "show servers state" (format version 1, management guide
// section 9.3). Lines it does not understand are passed over.
func parseServers(reply string) []server {
	var servers []server
	for line := range strings.Lines(reply) {
		f := strings.Fields(line)
		if len(f) < 24 || f[0] == "#" {
			continue
		}
		addr, err := netip.ParseAddr(f[4])
		if err != nil {
			continue
		}
		number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
		s := server{backend: f[1], name: f[3], address: netip.AddrPortFrom(addr, uint16(number(18)))}
		s.up = number(5) == 2
		s.maint = number(6)&1 != 0 || number(6)&32 != 0 // 4 stays for ever on one that was loaded so
		s.weight = number(7)
		result := number(11)
		s.checked, s.passed = result >= 2, result >= 3
		if a, err := netip.ParseAddr(f[22]); err == nil {
			s.checkAddress = netip.AddrPortFrom(a, uint16(number(21)))
		}
		servers = append(servers, s)
	}
	return servers
}

// parseMap reads "show map": key -> value. The first field is an address. Only
// an ASCII space separates them: a key may hold any other.
func parseMap(reply string) map[string]string {
	entries := map[string]string{}
	for line := range strings.Lines(reply) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(f) != 3 {
			continue
		}
		if _, dup := entries[f[1]]; !dup {
			entries[f[1]] = f[2]
		}
	}
	return entries
}

// parseInfo reads "show info": name -> value.
func parseInfo(reply string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(reply) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = strings.TrimSpace(v)
		}
	}
	return info
}

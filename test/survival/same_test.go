package survival_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/testwait"
)

// meaning is what is served, in words that do not depend on how HAProxy came to it:
// a port, or a line of a map, and the endpoints behind it with their weights.
type meaning map[string]string

// frontend begins the names of all that clients connect to.
const frontend = "landfall-front:"

// same waits until the files say what HAProxy's worker does.
func (e *edge) same(what string) {
	e.t.Helper()
	testwait.UntilSeen(e.t, what+" the files equal what runs", func() (bool, string) {
		diff := e.difference()
		return diff == "", diff
	})
}

func (e *edge) difference() string {
	runs, err := e.runs()
	if err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(runs, e.onDisk()); diff != "" {
		return "-runs +files " + diff
	}
	return ""
}

// runs asks the worker.
func (e *edge) runs() (meaning, error) {
	ask := func(line string) ([]string, error) {
		reply, err := askSocket(filepath.Join(e.run, "haproxy.sock"), line)
		return strings.Split(reply, "\n"), err
	}
	backends := map[string][]string{}
	lines, err := ask("show servers state")
	if err != nil {
		return nil, err
	}
	for _, line := range lines[1:] {
		f := strings.Fields(line) // see section 9.3 of HAProxy's management guide
		if len(f) > 18 && f[0] != "#" && f[6] == "0" {
			backends[f[1]] = append(backends[f[1]], net.JoinHostPort(f[4], f[18])+" weight "+f[7])
		}
	}
	m := meaning{}
	if lines, err = ask("show stat -1 1 -1"); err != nil {
		return nil, err
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ",")
		if name, ours := strings.CutPrefix(name, frontend); ours {
			m["port "+name] = list(backends[name])
		}
	}
	if lines, err = ask("show map"); err != nil {
		return nil, err
	}
	for _, line := range lines {
		_, path, _ := strings.Cut(line, "(")
		path, _, found := strings.Cut(path, ")")
		if !found || !filepath.IsAbs(path) {
			continue
		}
		entries, err := ask("show map " + path)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if f := strings.Fields(entry); len(f) == 3 {
				m[filepath.Base(path)+" "+f[1]] = list(backends[f[2]])
			}
		}
	}
	return m, nil
}

// onDisk reads the files that HAProxy would load now.
func (e *edge) onDisk() meaning {
	backends, ports := map[string][]string{}, map[string]string{}
	section := ""
	for _, part := range []string{"30-backends-", "40-listeners-"} {
		files, _ := filepath.Glob(filepath.Join(e.state, "haproxy", "current", part+"*.cfg"))
		for _, line := range fields(e.t, files) {
			switch {
			case line[0] == "backend":
				section = line[1]
			case line[0] == "frontend":
				section = strings.TrimPrefix(line[1], frontend)
				ports[section] = section
			case line[0] == "server":
				backends[section] = append(backends[section], fmt.Sprintf("%s weight %s", line[2], line[slices.Index(line, "weight")+1]))
			case line[0] == "default_backend":
				ports[section] = line[1]
			}
		}
	}
	m := meaning{}
	for name, backend := range ports {
		m["port "+name] = list(backends[backend])
	}
	files, _ := filepath.Glob(filepath.Join(e.state, "haproxy", "maps", "*.map"))
	for _, file := range files {
		for _, line := range fields(e.t, []string{file}) {
			m[filepath.Base(file)+" "+line[0]] = list(backends[line[1]])
		}
	}
	return m
}

// fields are the words of every line of files; a file may go meanwhile.
func fields(t testing.TB, files []string) [][]string {
	t.Helper()
	var all [][]string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 {
				all = append(all, f)
			}
		}
	}
	return all
}

func list(servers []string) string {
	slices.Sort(servers)
	return strings.Join(servers, ", ")
}

// askSocket is what a person would do with socat.
func askSocket(socket, line string) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	io.WriteString(conn, line+"\n")
	conn.(*net.UnixConn).CloseWrite()
	reply, err := io.ReadAll(conn)
	return string(reply), err
}

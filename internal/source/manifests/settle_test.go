package manifests

import (
	"strings"
	"testing"
	"time"
)

// TestSettling plays what happens to a file: t touches it, w waits for it to be
// left alone for 200 ms, and the number before it is the time in milliseconds.
func TestSettling(t *testing.T) {
	for _, c := range []struct {
		name    string
		touched []int
		due     int // in ms
	}{
		{"one event", []int{0}, 10},
		{"a burst", []int{0, 3, 9, 15}, 25},
		{"without an end", every(5, 3000), 1000},
	} {
		s := settling{files: make(map[string]*unrest)}
		start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
		for _, ms := range c.touched {
			if ms > c.due {
				break
			}
			if s.touch("a", at(ms)); ms < c.due && len(s.due(at(ms))) > 0 {
				t.Errorf("%s: due after %d ms", c.name, ms)
			}
		}
		if next, ok := s.next(); !ok || !next.Equal(at(c.due)) {
			t.Errorf("%s: due after %v, want %d ms", c.name, next.Sub(start), c.due)
		}
		if due := s.due(at(c.due)); strings.Join(due, " ") != "a" {
			t.Errorf("%s: %v is due", c.name, due)
		}
	}
}

// TestSettlingWait puts a file off that looks unfinished, and not for ever.
func TestSettlingWait(t *testing.T) {
	s := settling{files: make(map[string]*unrest)}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if s.wait("a", unfinishedQuiet, start) {
		t.Error("a file is waited for that nothing happened to")
	}
	s.touch("a", start)
	now := start.Add(quiet)
	if !s.wait("a", unfinishedQuiet, now) || len(s.due(now)) != 0 || len(s.due(start.Add(unfinishedQuiet))) != 1 {
		t.Error("an unfinished file is not waited for")
	}
	if s.wait("a", unfinishedQuiet, start.Add(unfinishedQuiet)) {
		t.Error("an unfinished file that was left alone is still waited for")
	}
	for ms := 0; ms < 2000; ms += 100 {
		now = start.Add(time.Duration(ms) * time.Millisecond)
		s.touch("a", now)
	}
	if s.wait("a", unfinishedQuiet, now) {
		t.Error("a file that is written all the time is waited for without end")
	}
	s.done("a")
	if _, ok := s.next(); ok {
		t.Error("something is due when nothing goes on")
	}
}

func every(ms, until int) []int {
	var all []int
	for at := 0; at < until; at += ms {
		all = append(all, at)
	}
	return all
}

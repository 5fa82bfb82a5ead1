package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/model"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take returns what came since it was called last.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// lines are what a log in JSON says of findings, and of the pause before another try.
func lines(t *testing.T, log *logged) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(log.take()) {
		var l struct {
			Level, Msg, Source, Origin, Field, Reason, Text, Accepted string
			Again                                                     any
			Lines                                                     int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Again != nil:
			out = append(out, fmt.Sprintf("again %v", l.Again))
		case l.Msg == "finding":
			out = append(out, strings.Join([]string{l.Level, l.Source, l.Origin, l.Field, l.Reason, l.Text, l.Accepted}, "|"))
		case l.Msg == "finding gone":
			out = append(out, strings.Join([]string{l.Level, "gone", l.Source, l.Origin, l.Field, l.Reason}, "|"))
		case l.Lines > 0:
			out = append(out, fmt.Sprintf("%s|%d more lines", l.Level, l.Lines))
		}
	}
	return out
}

// wrong is a site whose object has findings, each with its reason and its words.
func wrong(host string, findings ...[2]string) model.Fragment {
	f := site(host)
	for _, x := range findings {
		f.Parts[0].Findings = append(f.Parts[0].Findings, model.Finding{
			Origin: f.Parts[0].Origin, Field: "spec", Reason: x[0], Message: x[1], Accepted: "the rest",
		})
	}
	return f
}

// A finding is logged when it is new and when it is gone, the engine's own too.
func TestFindingsAreLogged(t *testing.T) {
	var log logged
	inWorld(t, func(t *testing.T, w *world) {
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if d := cmp.Diff(want, lines(t, &log)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		}
		w.machine.set(func(m *machine) {
			m.own = []model.Finding{{Origin: model.Origin{Source: "haproxy", Kind: "File", Name: "/own.cfg"}, Reason: "ExtraFileRefused", Message: "line 1"}}
		})
		w.begin(wrong("a.test", [2]string{"Bad", "a\nline"}))
		check("WARN|haproxy|File /own.cfg||ExtraFileRefused|line 1|", "WARN|test|Ingress web/a.test|spec|Bad|a\nline|the rest")
		time.Sleep(3 * time.Minute) // three rechecks
		check()
		w.ask(wrong("a.test", [2]string{"Bad", "another line"})) // of the same place
		check("WARN|test|Ingress web/a.test|spec|Bad|another line|the rest")
		w.machine.set(func(m *machine) { m.own = nil })
		w.ask(wrong("a.test", [2]string{"Worse", "x"}))
		check("WARN|test|Ingress web/a.test|spec|Worse|x|the rest", "INFO|gone|haproxy|File /own.cfg||ExtraFileRefused",
			"INFO|gone|test|Ingress web/a.test|spec|Bad")
		w.ask(site("a.test"))
		check("INFO|gone|test|Ingress web/a.test|spec|Worse")
	}, func(w *world) { w.log = slog.New(slog.NewJSONHandler(&log, nil)) })
}

// Many findings, at once or one after another, do not flood the log.
func TestFindingsInTheLogAreBounded(t *testing.T) {
	var log logged
	inWorld(t, func(t *testing.T, w *world) {
		var many [][2]string
		for i := range 100 {
			many = append(many, [2]string{fmt.Sprintf("Bad%d", i), "x"})
		}
		w.begin(wrong("a.test", many...))
		got := lines(t, &log)
		if n := len(got); n != 21 || got[20] != "WARN|80 more lines" {
			t.Errorf("%d lines, the last %q", n, got[n-1])
		}
		for i := range 1000 { // in ten seconds
			w.ask(wrong("a.test", many[:i%2]...))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(lines(t, &log)); n > 12 {
			t.Errorf("%d lines in ten seconds", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := lines(t, &log); len(got) != 1 || !strings.HasSuffix(got[0], "more lines") {
			t.Errorf("what was left out is not counted: %q", got)
		}
	}, func(w *world) { w.log = slog.New(slog.NewJSONHandler(&log, nil)) })
}

// How long a pause is can be read without knowing how it was counted.
func TestPauseInTheLog(t *testing.T) {
	var log logged
	inWorld(t, func(t *testing.T, w *world) {
		w.machine.set(func(m *machine) { m.fail = errBroken })
		w.begin(site("a.test"))
		if d := cmp.Diff([]string{"again 100ms"}, lines(t, &log)); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}, func(w *world) { w.log = slog.New(slog.NewJSONHandler(&log, nil)) })
}

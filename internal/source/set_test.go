package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
)

// scripted is a Source that answers what the test says.
type scripted struct {
	name string
	end  chan error // what Run returns before ctx ends

	mu       sync.Mutex
	fragment model.Fragment
	err      error
	changed  func()
	told     []string
}

func newScripted(name string) *scripted {
	return &scripted{name: name, err: source.ErrNotSynced, end: make(chan error)}
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Run(ctx context.Context, changed func()) error {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.end:
		return err
	}
}

func (s *scripted) Read(context.Context) (model.Fragment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fragment, s.err
}

func (s *scripted) Report(_ context.Context, outcomes []*model.Outcome, findings []model.Finding) {
	for _, o := range outcomes {
		s.told = append(s.told, "outcome "+o.Origin.Name)
	}
	for _, f := range findings {
		s.told = append(s.told, "finding "+f.Reason)
	}
}

// answer makes Read return f and err from now on.
func (s *scripted) answer(f model.Fragment, err error) {
	s.mu.Lock()
	s.fragment, s.err = f, err
	changed := s.changed
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// constant is a scripted source that says it need not be kept.
type constant struct{ *scripted }

func (constant) Constant() {}

func newSet(t *testing.T, dir string, sources ...source.Source) *source.Set {
	t.Helper()
	set, err := source.NewSet(source.SetConfig{Sources: sources, Dir: dir, Grace: 5 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// run runs the set in a bubble until the test or stop ends it, reading it after
// each change as an agent does.
func run(t *testing.T, set *source.Set) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := set.Run(ctx, func() { set.Read(ctx) }); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func backends(source string, names ...string) model.Fragment {
	f := model.Fragment{Source: source}
	for _, name := range names {
		f.Backends = append(f.Backends, &model.Backend{Name: source + "/" + name, Protocol: model.HTTP})
	}
	return f
}

// describe is what a set serves: names of backends, and reasons of findings.
func describe(fragments []model.Fragment) string {
	var b strings.Builder
	for _, f := range fragments {
		b.WriteString(f.Source + ":")
		for _, backend := range f.Backends {
			b.WriteString(" " + strings.TrimPrefix(backend.Name, f.Source+"/"))
		}
		for _, finding := range f.Findings {
			b.WriteString(" !" + finding.Reason)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func wantServed(t *testing.T, set *source.Set, want ...string) {
	t.Helper()
	got := describe(set.Read(t.Context()))
	if diff := cmp.Diff(strings.Join(want, "\n")+"\n", got); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
}

func isReady(set *source.Set) bool {
	synctest.Wait()
	select {
	case <-set.Ready():
		return true
	default:
		return false
	}
}

func TestSetNeedsNames(t *testing.T) {
	for _, names := range [][]string{{""}, {"a/b"}, {"a", "a"}} {
		var sources []source.Source
		for _, name := range names {
			sources = append(sources, newScripted(name))
		}
		_, err := source.NewSet(source.SetConfig{Sources: sources, Now: time.Now})
		if err == nil {
			t.Errorf("accepted the names %q", names)
		}
	}
}

func TestReadyWhenAllHaveAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newScripted("a"), newScripted("b")
		set := newSet(t, "", a, b)
		run(t, set)
		a.answer(backends("a", "one"), nil)
		if isReady(set) {
			t.Error("ready before b has answered")
		}
		b.answer(backends("b"), nil)
		if !isReady(set) {
			t.Error("not ready though all have answered")
		}
		wantServed(t, set, "a: one", "b:")
	})
}

func TestReadyAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newScripted("a"), newScripted("b")
		set := newSet(t, t.TempDir(), a, b)
		run(t, set)
		a.answer(backends("a", "one"), nil)
		time.Sleep(5*time.Second - time.Nanosecond)
		if isReady(set) {
			t.Error("ready before the grace is over")
		}
		time.Sleep(time.Nanosecond)
		if !isReady(set) {
			t.Error("not ready after the grace")
		}
		wantServed(t, set, "a: one", "b: !SourceNotSynced")
		b.answer(backends("b", "late"), nil)
		wantServed(t, set, "a: one", "b: late")
	})
}

func TestFailureKeepsTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScripted("a")
		set := newSet(t, "", a)
		start := time.Now()
		a.answer(backends("a", "one", "two"), nil)
		wantServed(t, set, "a: one two")

		time.Sleep(time.Minute)
		errRefused := errors.New("connection refused\nlistener line 2")
		a.answer(model.Fragment{}, errRefused)
		wantServed(t, set, "a: one two !SourceStale")
		first, second := set.Read(t.Context())[0], set.Read(t.Context())[0]
		if &first.Findings[0] != &second.Findings[0] || &first.Backends[0] != &second.Backends[0] {
			t.Error("nothing changed, yet the slices are others")
		}
		want := source.Status{
			Name: "a", Synced: true, Stale: true, Since: start.Add(time.Minute),
			Message: "its last good answer stays in place, and it is asked again by itself: connection refused listener line 2",
			Err:     errRefused,
		}
		if diff := cmp.Diff([]source.Status{want}, set.Status(), cmpopts.EquateErrors()); diff != "" {
			t.Error(diff)
		}

		time.Sleep(time.Minute)
		a.answer(backends("a", "two"), errors.New("watch broke"))
		wantServed(t, set, "a: two !SourceStale")
		a.answer(backends("a", "three"), nil)
		wantServed(t, set, "a: three")
		want = source.Status{Name: "a", Synced: true, Since: start.Add(2 * time.Minute)}
		if diff := cmp.Diff([]source.Status{want}, set.Status()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestNotAnsweredYet says each thing once, and only what is known: whether there is
// an earlier state on disk is not, without a folder.
func TestNotAnsweredYet(t *testing.T) {
	why := fmt.Errorf("%w: waiting for nodes", source.ErrNotSynced)
	for dir, want := range map[string]string{
		"":          "it has not answered yet: waiting for nodes; nothing new of it is served until it answers",
		t.TempDir(): "it has not answered since the start: waiting for nodes; nothing new of it is served until it answers, as no earlier state of it is on disk",
	} {
		a := newScripted("a")
		set := newSet(t, dir, a)
		a.answer(model.Fragment{}, why)
		set.Read(t.Context())
		st := set.Status()[0]
		if st.Message != want {
			t.Errorf("got  %s\nwant %s", st.Message, want)
		}
		if !errors.Is(st.Err, source.ErrNotSynced) || st.Err.Error() != "waiting for nodes" {
			t.Errorf("got the error %v", st.Err)
		}
	}
}

// TestEndedSource stops none of the others.
func TestEndedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newScripted("a"), newScripted("b")
		set := newSet(t, "", a, b)
		run(t, set)
		a.answer(backends("a", "one"), nil)
		a.end <- errors.New("kubeconfig: no such user")
		synctest.Wait()
		b.answer(backends("b", "two"), nil)
		wantServed(t, set, "a: one !SourceEnded", "b: two")
	})
}

func TestStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newScripted("a")
		set := newSet(t, dir, a, constant{newScripted("fixed")})
		stop := run(t, set)
		a.answer(backends("a", "one", "two"), nil)
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		a, fixed := newScripted("a"), constant{newScripted("fixed")}
		set := newSet(t, dir, a, fixed)
		fixed.answer(backends("fixed", "x"), nil)
		run(t, set)
		wantServed(t, set, "a: one two !SourceNotSynced", "fixed: x")
		if st := set.Status()[0]; st.Synced || !st.Stale || !strings.Contains(st.Message, "not synced yet; served is what it asked for on 2000-01-01T00:00:00Z") {
			t.Errorf("got %+v", st)
		}
		a.answer(backends("a", "three"), nil)
		wantServed(t, set, "a: three", "fixed: x")
	})
	if names := list(t, dir); names != "a.jsonl" {
		t.Errorf("the folder holds %s", names)
	}
}

// TestWritesAreRare wants one write 2 s after the first change, with all that
// came in between, and one at the end.
func TestWritesAreRare(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newScripted("a")
		set := newSet(t, dir, a)
		stop := run(t, set)
		onDisk := func(want string) {
			t.Helper()
			synctest.Wait()
			other := newSet(t, dir, newScripted("a"))
			if got := describe(other.Read(t.Context())); got != want {
				t.Errorf("after %v: on disk is %q, want %q", time.Since(start()), got, want)
			}
		}
		a.answer(backends("a", "one"), nil)
		time.Sleep(1999 * time.Millisecond)
		a.answer(backends("a", "one", "two"), nil)
		onDisk("a: !SourceNotSynced\n")
		time.Sleep(time.Millisecond)
		onDisk("a: one two !SourceNotSynced\n")
		a.answer(backends("a", "two", "three"), nil)
		time.Sleep(1999 * time.Millisecond)
		onDisk("a: one two !SourceNotSynced\n")
		time.Sleep(time.Millisecond)
		onDisk("a: three two !SourceNotSynced\n")
		a.answer(backends("a", "four"), nil)
		stop()
		onDisk("a: four !SourceNotSynced\n")
	})
}

// start is when every bubble begins.
func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// TestDamagedState is served as far as it can be, and told of.
func TestDamagedState(t *testing.T) {
	head := `{"k":"head","v":{"version":1,"source":"a","saved":"2026-01-02T03:04:05Z","parts":0,"backends":2,"probes":0}}` + "\n"
	one, two := `{"k":"backend a/one","v":{"name":"a/one"}}`+"\n", `{"k":"backend a/two","v":{"name":"a/two"}}`+"\n"
	for name, c := range map[string]struct{ content, want string }{
		"whole":         {head + one + two, "a: one two !SourceNotSynced\n"},
		"order":         {two + one + head, "a: one two !SourceNotSynced\n"},
		"torn":          {head + one + two[:20], "a: one !SourceNotSynced !KeptStateDamaged\n"},
		"empty":         {"", "a: !SourceNotSynced !KeptStateDamaged\n"},
		"no text":       {"\x00\xff\n\x00", "a: !SourceNotSynced !KeptStateDamaged\n"},
		"other version": {strings.Replace(head, `"version":1`, `"version":2`, 1) + one + two, "a: !SourceNotSynced !KeptStateDamaged\n"},
		"other source":  {strings.Replace(head, `"source":"a"`, `"source":"b"`, 1) + one + two, "a: !SourceNotSynced !KeptStateDamaged\n"},
		"other name":    {head + one + strings.Replace(two, `"a/two"}`, `"b/two"}`, 1), "a: !SourceNotSynced !KeptStateDamaged\n"},
		"other type":    {head + one + `{"k":"backend a/two","v":[]}` + "\n", "a: !SourceNotSynced !KeptStateDamaged\n"},
		"newer key":     {head + one + two + `{"k":"x","v":1}` + "\n", "a: one two !SourceNotSynced\n"},
		"tomorrow":      {strings.Replace(head, "2026", "2126", 1) + one + two, "a: one two !SourceNotSynced\n"},
		"long ago":      {strings.Replace(head, "2026", "1970", 1) + one + two, "a: one two !SourceNotSynced\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			a := newScripted("a")
			set := newSet(t, dir, a)
			if got := describe(set.Read(t.Context())); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			a.answer(backends("a", "fresh"), nil)
			wantServed(t, set, "a: fresh")
		})
	}
}

// TestDiskThatFails is told of, and of nothing else: everything is served.
func TestDiskThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sources")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := newScripted("a")
		set := newSet(t, dir, a)
		run(t, set)
		a.answer(backends("a", "one"), nil)
		wantServed(t, set, "a: one")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantServed(t, set, "a: one !StateNotKept")

		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		wantServed(t, set, "a: one")
		wantServed(t, newSet(t, dir, newScripted("a")), "a: one !SourceNotSynced")
	})
}

func TestReportGoesToTheSourceOfEach(t *testing.T) {
	a, b := newScripted("a"), newScripted("b")
	set := newSet(t, "", a, b)
	set.Report(t.Context(),
		[]*model.Outcome{{Origin: model.Origin{Source: "a", Name: "x"}}, {Origin: model.Origin{Source: "b", Name: "y"}}},
		[]model.Finding{{Origin: model.Origin{Source: "b"}, Reason: "Late"}, {Reason: "OfTheFile"}})
	if diff := cmp.Diff([][]string{{"outcome x"}, {"outcome y", "finding Late"}}, [][]string{a.told, b.told}); diff != "" {
		t.Error(diff)
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

package survival_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestClockJumps: all that an edge waits for is timed by a clock that does not jump.
// What bears the date of the other one comes from another time here: files of
// manifests from long ago and from tomorrow, and the last state of a source, saved
// by an agent whose clock was a century ahead or behind.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	shop := servers(t, "shop", 2)
	e.site("shop", shop[0])
	e.start()
	e.answers("shop.test", "shop")
	l := e.load(2, "shop.test")
	path := filepath.Join(e.objects, "shop.yaml")
	for i, year := range []int{2126, 1971, 2125, 2001} {
		s := shop[(i+1)%2]
		next := path + ".next" // not read, and renamed with its date
		if err := os.WriteFile(next, []byte(site("shop", s.Address)), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := os.Chtimes(next, at, at); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		e.await("a file is read whatever its date", func(st status.Status) bool { return endpointsOf(st, "shop") == s.Address.String() })
	}

	testwait.Until(t, "the last state is kept", func() bool { return e.keptOnDisk(shop[0]) })
	if err := os.Rename(e.objects, e.objects+".away"); err != nil {
		t.Fatal(err)
	}
	for _, year := range []string{"2126", "1971"} {
		e.kill()
		text, err := os.ReadFile(e.keptFile())
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`"saved":"\d{4}`).ReplaceAll(text, []byte(`"saved":"`+year))
		if err := os.WriteFile(e.keptFile(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		e.start()
		e.await("the last state is served whatever its date", func(s status.Status) bool {
			return s.Ready && s.Sources[0].Stale && strings.Contains(s.Sources[0].Message, year) && endpointsOf(s, "shop") == shop[0].Address.String()
		})
		e.noReload("a state of " + year)
	}
	l.After(50)
	l.Stop()
}

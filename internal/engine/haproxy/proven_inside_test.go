package haproxy

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
)

// TestUnproven: what a check leaves out was accepted before, with the same rest.
func TestUnproven(t *testing.T) {
	t.Parallel()
	d := newDisk(Settings{Dir: t.TempDir()}, slog.New(slog.DiscardHandler))
	backend := func(name string) *model.Backend { return &model.Backend{Name: name, Protocol: model.TCP} }
	port := func(name, to string) (*model.Listener, *model.Route) {
		return &model.Listener{Name: name, Port: 1, Protocol: model.TCP},
			&model.Route{Name: name, Listener: name, Backends: []model.WeightedBackend{{Name: to}}}
	}
	l, route := port("home/a/a/1", "home/a/a/1")
	s := model.State{Listeners: []*model.Listener{l}, Routes: []*model.Route{route}, Backends: []*model.Backend{backend("home/a/a/1"), backend("home/b/b/2")}}
	write := func(gen string) {
		t.Helper()
		r := newRenderer(d.settings, nil)
		r.settings.Generation = gen
		if err := d.write(r, s, extras{}, loaded{}); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	if files := d.unproven(s, "g"); files != nil {
		t.Errorf("at the start %v, want all", files)
	}
	d.prove("g")
	if files := d.unproven(s, "other"); files != nil {
		t.Errorf("with other settings %v, want all", files)
	}

	// A new port needs its own file, and that of the backend it leads to.
	more, way := port("home/c/c/3", "home/a/a/1")
	s.Listeners, s.Routes = append(s.Listeners, more), append(s.Routes, way)
	write("2")
	want := []string{globalFile, backendFile("home/a/a/1"), listenerFile("home/c/c/3")}
	slices.Sort(want)
	if files := d.unproven(s, "g"); !slices.Equal(files, want) {
		t.Errorf("of a new port %v, want %v", files, want)
	}
	// One that was refused is not accepted the next time.
	d.drop("2")
	write("3")
	if files := d.unproven(s, "g"); !slices.Equal(files, want) {
		t.Errorf("of a new port once more %v, want %v", files, want)
	}
}

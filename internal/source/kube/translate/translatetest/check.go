package translatetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// mostOfOne is how many listeners or routes one object can have.
const mostOfOne = 1000

// Check says what no fragment may be, whatever it was made of: out of order, with
// a name twice or of another source, or with a reference to nothing.
func Check(f model.Fragment) error {
	var errs []error
	errs = append(errs,
		order("parts", f.Parts, func(p *model.Part) string { return p.Origin.Key() }),
		order("backends", f.Backends, func(b *model.Backend) string { return b.Name }),
		order("probes", f.Probes, func(p *model.Probe) string { return p.Name }),
	)
	c := checker{source: f.Source, backends: make(map[string]bool), probes: make(map[string]bool), names: make(map[string]bool)}
	for _, b := range f.Backends {
		c.backends[b.Name] = true
	}
	for _, p := range f.Probes {
		c.probes[p.Name] = true
		errs = append(errs, c.name(p.Name))
	}
	for _, p := range f.Parts {
		errs = append(errs, c.part(p))
	}
	for _, b := range f.Backends {
		errs = append(errs, c.backend(b))
	}
	for _, x := range f.Findings {
		errs = append(errs, c.finding(x))
	}
	return errors.Join(errs...)
}

type checker struct {
	source   string
	backends map[string]bool
	probes   map[string]bool
	names    map[string]bool // of listeners and routes
}

func order[T any](what string, list []T, name func(T) string) error {
	for i := 1; i < len(list); i++ {
		if name(list[i-1]) >= name(list[i]) {
			return fmt.Errorf("%s: %q is before %q", what, name(list[i-1]), name(list[i]))
		}
	}
	return nil
}

func (c checker) name(name string) error {
	if !strings.HasPrefix(name, c.source+"/") || strings.ContainsAny(name, "\x00\n\r\t \x7f") {
		return fmt.Errorf("%q is a bad name", name)
	}
	return nil
}

func (c checker) part(p *model.Part) error {
	var errs []error
	if len(p.Listeners) > mostOfOne || len(p.Routes) > mostOfOne {
		errs = append(errs, fmt.Errorf("%s asks for %d listeners and %d routes", p.Origin, len(p.Listeners), len(p.Routes)))
	}
	for _, l := range p.Listeners {
		errs = append(errs, c.name(l.Name), c.once("listener "+l.Name))
		if l.Port == 0 || l.Origin != p.Origin {
			errs = append(errs, fmt.Errorf("listener %s: port %d, origin %v", l.Name, l.Port, l.Origin))
		}
	}
	for _, r := range p.Routes {
		errs = append(errs, c.name(r.Name), c.once("route "+r.Name))
		own := slices.ContainsFunc(p.Listeners, func(l *model.Listener) bool { return l.Name == r.Listener })
		if r.Listener != "" && !own {
			errs = append(errs, fmt.Errorf("route %s: no listener %q", r.Name, r.Listener))
		}
		for _, b := range r.Backends {
			if !c.backends[b.Name] {
				errs = append(errs, fmt.Errorf("route %s: no backend %q", r.Name, b.Name))
			}
		}
	}
	for _, x := range p.Findings {
		errs = append(errs, c.finding(x))
	}
	return errors.Join(errs...)
}

func (c checker) once(name string) error {
	if c.names[name] {
		return fmt.Errorf("%s is there twice", name)
	}
	c.names[name] = true
	return nil
}

func (c checker) backend(b *model.Backend) error {
	errs := []error{c.name(b.Name)}
	for i, e := range b.Endpoints {
		if i > 0 && b.Endpoints[i-1].Address.Compare(e.Address) >= 0 {
			errs = append(errs, fmt.Errorf("backend %s: %s is before %s", b.Name, b.Endpoints[i-1].Address, e.Address))
		}
		if !e.Address.IsValid() || e.Address.Port() == 0 || (e.Probe != "" && !c.probes[e.Probe]) {
			errs = append(errs, fmt.Errorf("backend %s: bad endpoint %+v", b.Name, e))
		}
	}
	return errors.Join(errs...)
}

// finding holds what a finding shows to a person: short, and on one line.
func (c checker) finding(f model.Finding) error {
	const longest = 3000
	for _, s := range []string{f.Field, f.Reason, f.Message, f.Accepted, f.Origin.String()} {
		if len(s) > longest || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("finding holds %.200q (%d bytes)", s, len(s))
		}
	}
	if f.Reason == "" || f.Message == "" || f.Origin.Source != c.source {
		return fmt.Errorf("finding %+v is not whole", f)
	}
	return nil
}

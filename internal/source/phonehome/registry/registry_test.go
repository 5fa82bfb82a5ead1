package registry_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a registry and its clock.
type world struct {
	*registry.Registry
	t   *testing.T
	now time.Time
}

func newWorld(t *testing.T) *world { return &world{registry.New("homes"), t, start} }

func call(address string, lease time.Duration) registry.Call {
	return registry.Call{
		Key:   registry.Key{Client: "a", Name: "shop", Address: netip.MustParseAddr(address)},
		Ports: []registry.Port{{Protocol: model.TCP, Front: 8443, Target: 30843}}, Lease: lease,
	}
}

func oldCall(address string) registry.Call {
	c := call(address, 0)
	c.Old = 8443
	return c
}

func (w *world) put(c registry.Call, want registry.Effect) {
	w.t.Helper()
	if got := w.Put(w.now, c); got != want {
		w.t.Errorf("put did %d, want %d", got, want)
	}
}

// pass lets time go by, and wants the endpoints to be as told: "203.0.113.1",
// "203.0.113.1 drains".
func (w *world) pass(d time.Duration, want ...string) {
	w.t.Helper()
	w.now = w.now.Add(d)
	w.Expire(w.now)
	var got []string
	for _, b := range w.Fragment(w.now).Backends {
		for _, e := range b.Endpoints {
			text := e.Address.Addr().String()
			if e.Draining {
				text += " drains"
			}
			got = append(got, text)
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		w.t.Errorf("after %s: %v, want %v", w.now.Sub(start), got, want)
	}
}

func TestLease(t *testing.T) {
	w := newWorld(t)
	w.put(call("203.0.113.1", 90*time.Second), registry.Added)
	w.put(call("203.0.113.2", 900*time.Second), registry.Added)
	w.pass(89*time.Second, "203.0.113.1", "203.0.113.2")
	w.pass(time.Second, "203.0.113.1 drains", "203.0.113.2")
	w.put(call("203.0.113.1", 90*time.Second), registry.Changed) // late, and in its grace
	w.pass(0, "203.0.113.1", "203.0.113.2")
	w.pass(90*time.Second, "203.0.113.1 drains", "203.0.113.2")
	w.pass(30*time.Second, "203.0.113.2")
}

// TestLastEndpoint: when no other can take over, a late one goes on until its grace
// is over, as to drain it would be to cut it.
func TestLastEndpoint(t *testing.T) {
	w := newWorld(t)
	w.put(call("203.0.113.1", 90*time.Second), registry.Added)
	w.pass(100*time.Second, "203.0.113.1")
	w.pass(20 * time.Second)
	if f := w.Fragment(w.now); len(f.Parts) != 0 || w.Len() != 0 || w.LenOf("a") != 0 {
		t.Errorf("left: %v", f)
	}
}

// TestTogether: when all fall silent, one after the other, they go at one time.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	for i := range 15 {
		c := call("203.0.113.1", 90*time.Second)
		c.Name, c.Ports[0].Front = fmt.Sprint("n", i), uint16(8000+i)
		w.put(c, registry.Added)
		w.now = w.now.Add(2 * time.Second)
	}
	for before := w.Len(); before > 0; {
		w.now = w.now.Add(100 * time.Millisecond)
		w.Expire(w.now)
		n := w.Len()
		if n != before && n > 0 {
			t.Fatalf("after %s there are %d of %d", w.now.Sub(start), n, before)
		}
		before = n
	}
	if after := w.now.Sub(start); after != (28+90+30)*time.Second {
		t.Errorf("they went after %s", after)
	}
}

// TestImpatient: one that is silent does not stay for as long as others fall silent.
func TestImpatient(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		c := call("203.0.113.1", 90*time.Second)
		c.Name, c.Ports[0].Front = fmt.Sprint("n", i), uint16(8000+i)
		w.put(c, registry.Added)
		w.now = w.now.Add(10 * time.Second)
		w.Expire(w.now)
	}
	if n := w.Len(); n > (90+3*30)/10 {
		t.Errorf("there are %d", n)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	w.put(call("203.0.113.1", 90*time.Second), registry.Added)
	all := func(registry.Key) bool { return true }
	if n := len(w.Delete(w.now, "a", "shop", all)); n != 1 {
		t.Errorf("%d deleted", n)
	}
	if n := len(w.Delete(w.now, "a", "shop", all)) + len(w.Delete(w.now, "a", "other", all)); n != 0 {
		t.Errorf("%d deleted twice", n)
	}
	w.pass(0, "203.0.113.1 drains")
	w.put(call("203.0.113.2", 90*time.Second), registry.Added) // the port stays open for the next pod
	w.pass(registry.DrainTime-time.Second, "203.0.113.1 drains", "203.0.113.2")
	w.pass(time.Second, "203.0.113.2")
}

// TestInterval of callers that announce none.
func TestInterval(t *testing.T) {
	w := newWorld(t)
	w.put(oldCall("203.0.113.1"), registry.Added)
	w.pass(10000*time.Hour, "203.0.113.1") // called once: never expires
	w.put(oldCall("203.0.113.1"), registry.Renewed)
	w.pass(10000*time.Hour, "203.0.113.1") // started again
	for range 3 {
		w.put(oldCall("203.0.113.1"), registry.Renewed)
		w.pass(600*time.Second, "203.0.113.1")
	}
	w.put(oldCall("203.0.113.1"), registry.Renewed)
	w.pass(1799*time.Second, "203.0.113.1")
	w.pass(601 * time.Second)
}

func TestSuperseded(t *testing.T) {
	w := newWorld(t)
	w.put(oldCall("203.0.113.1"), registry.Added)
	w.put(call("203.0.113.2", 90*time.Second), registry.Added)
	w.pass(time.Second, "203.0.113.1", "203.0.113.2")
	w.put(call("203.0.113.3", 90*time.Second), registry.Added)
	names := func() (out string) {
		for _, r := range w.Superseded(w.now) {
			out += r.Address.String() + " "
		}
		return out
	}
	if got := names(); got != "203.0.113.1 " { // which never promised to call again
		t.Errorf("superseded: %s", got)
	}
	w.pass(50*time.Second, "203.0.113.1", "203.0.113.2", "203.0.113.3")
	w.put(call("203.0.113.3", 90*time.Second), registry.Renewed)
	if got := names(); got != "203.0.113.1 203.0.113.2 " { // overdue
		t.Errorf("superseded: %s", got)
	}
	w.Drop(w.Superseded(w.now)[0].Key)
	w.pass(0, "203.0.113.2", "203.0.113.3")
}

// TestShared: what did not change is the same in memory, and a renewal changes
// nothing.
func TestShared(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		c := call("203.0.113.1", 90*time.Second)
		c.Name, c.Ports[0].Front = fmt.Sprint("n", i), uint16(8000+i)
		w.put(c, registry.Added)
	}
	before := w.Fragment(w.now)
	w.now = w.now.Add(30 * time.Second)
	c := call("203.0.113.1", 90*time.Second)
	c.Name, c.Ports[0].Front = "n1", 8001
	w.put(c, registry.Renewed)
	if w.Dirty() || &w.Fragment(w.now).Parts[0] != &before.Parts[0] {
		t.Error("a renewal changed something")
	}
	c.Address = netip.MustParseAddr("203.0.113.2")
	w.put(c, registry.Added)
	after := w.Fragment(w.now)
	for i := range before.Parts {
		if before.Parts[i] != after.Parts[i] || (before.Backends[i] == after.Backends[i]) != (i != 1) {
			t.Errorf("object %d", i)
		}
	}
	if got := after.Parts[1].Origin.Created; !got.Equal(start) {
		t.Errorf("created %s", got)
	}
}

func TestAllowance(t *testing.T) {
	a := registry.Allowance{
		Ports: []registry.Range{{First: 443, Last: 443}, {First: 8000, Last: 9000}}, Hosts: []string{"*.apps.example.com", "a.example.com"},
		Destinations: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	}
	for _, tt := range []struct {
		port registry.Port
		may  bool
	}{
		{registry.Port{Protocol: model.TCP, Front: 443}, true},
		{registry.Port{Protocol: model.TCP, Front: 8000}, true},
		{registry.Port{Protocol: model.TCP, Front: 9000}, true},
		{registry.Port{Protocol: model.TCP, Front: 9001}, false},
		{registry.Port{Protocol: model.TCP, Front: 444}, false},
		{registry.Port{Protocol: model.HTTP, Hosts: []string{"x.apps.example.com", "a.example.com", "*.apps.example.com"}}, true},
		{registry.Port{Protocol: model.HTTP, Hosts: []string{"x.y.apps.example.com"}}, false},
		{registry.Port{Protocol: model.HTTP, Hosts: []string{"apps.example.com"}}, false},
		{registry.Port{Protocol: model.HTTP, Hosts: []string{"x.apps.example.com", "b.example.com"}}, false},
		{registry.Port{Protocol: model.HTTP, Hosts: []string{"*.example.com"}}, false},
	} {
		if why := a.Port(tt.port); (why == "") != tt.may {
			t.Errorf("%v: %q", tt.port, why)
		}
	}
	if why, _ := a.Address(netip.MustParseAddr("203.0.113.7")); why != "" {
		t.Error(why)
	}
	for _, addr := range []string{"198.51.100.1", "127.0.0.1", "::1", "fe80::1", "0.0.0.0", "224.0.0.1", "2001:db8::1"} {
		if why, _ := a.Address(netip.MustParseAddr(addr)); why == "" {
			t.Error(addr)
		}
	}
}

// BenchmarkRenewal is one renewal among 10,000 registrations on 200 ports.
func BenchmarkRenewal(b *testing.B) {
	r := registry.New("homes")
	var calls []registry.Call
	for i := range 10_000 {
		c := call(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), 180*time.Second)
		c.Name, c.Ports[0].Front = fmt.Sprint("n", i%200), uint16(8000+i%200)
		r.Put(start, c)
		calls = append(calls, c)
	}
	r.Fragment(start)
	b.ResetTimer()
	for i := range b.N {
		if r.Put(start.Add(time.Duration(i)), calls[i%len(calls)]) != registry.Renewed || r.Dirty() {
			b.Fatal("news")
		}
	}
}

// Package registry holds what clients of the phone-home source have registered and
// says what that asks for. It is pure: every method is told the time.
//
//   - A registration is one address of one name of one client. Those of one name
//     are one object, whose endpoints they are.
//   - A lease that ends leaves its endpoint draining for a grace, if another one can
//     take over, and serving if none can. A deletion drains at once.
//   - A renewal with nothing new changes nothing but the end of its lease.
package registry

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

const (
	// MinLease is the shortest lease there is, also of a learned one.
	MinLease = 10 * time.Second
	// MaxLease is the longest.
	MaxLease = 24 * time.Hour
	// DefaultLease is that of a caller that announces neither lease nor interval.
	DefaultLease = 90 * time.Second
	// DrainTime is how long a deleted endpoint drains before it goes: long enough
	// for the pod that comes next to register, so that its port stays open.
	DrainTime = 10 * time.Second
	// Renewals is how many intervals a lease is made of.
	Renewals = 3

	// patience is how many graces a late one stays at most while others are late
	// too: they go in one turn, so that the guard sees when everybody falls silent.
	patience = 3

	minGrace = 10 * time.Second
	maxGrace = 10 * time.Minute
)

// Key is one registration.
type Key struct {
	Client, Name string
	Address      netip.Addr
	// Old is the front port of one that came in the old form, which knows one port
	// only; 0 for one of our own form.
	Old uint16
}

// Compare orders keys.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Client, o.Client), cmp.Compare(k.Name, o.Name), k.Address.Compare(o.Address), cmp.Compare(k.Old, o.Old))
}

// Port is what one registration asks for at one place.
type Port struct {
	Protocol model.Protocol `json:"protocol"`
	// Front is the edge's port, of TCP only.
	Front uint16 `json:"front,omitempty"`
	// Hosts, of all others, and Paths, of HTTP.
	Hosts  []string `json:"hosts,omitempty"`
	Paths  []string `json:"paths,omitempty"`
	Target uint16   `json:"target"`
	// SendProxy, Weight and Check are those of the model.
	SendProxy int    `json:"sendProxy,omitempty"`
	Weight    int    `json:"weight,omitempty"`
	CheckPath string `json:"checkPath,omitempty"`
}

func (p Port) equal(o Port) bool {
	return p.Protocol == o.Protocol && p.Front == o.Front && slices.Equal(p.Hosts, o.Hosts) && slices.Equal(p.Paths, o.Paths) &&
		p.Target == o.Target && p.SendProxy == o.SendProxy && p.Weight == o.Weight && p.CheckPath == o.CheckPath
}

// Registration is what the registry knows of one. It is never changed once it has
// been handed out.
type Registration struct {
	Key
	Ports []Port
	// Interval is how often the caller renews; 0 is unknown. Gap is the last time
	// between two calls of one that announces nothing.
	Interval, Gap time.Duration
	// Lease is how long a call counts; 0 is for ever.
	Lease time.Duration
	// Created is when its object was first registered, Added when this address was,
	// Seen when it last called.
	Created, Added, Seen time.Time
	// Expires is zero for one that never does. Gone is when it was deleted, or zero.
	Expires, Gone time.Time
	// From is the address that last called.
	From netip.Addr
}

// State is how a registration is.
type State string

// The states of a registration.
const (
	Live     State = "live"
	Late     State = "late" // its lease has ended, its grace has not
	Draining State = "draining"
	gone     State = ""
)

// State says how the registration is at a time.
func (r *Registration) State(now time.Time) State {
	switch {
	case !r.Gone.IsZero() && now.Before(r.Gone.Add(DrainTime)):
		return Draining
	case !r.Gone.IsZero():
		return gone
	case r.Expires.IsZero() || now.Before(r.Expires):
		return Live
	case now.Before(r.Expires.Add(patience * r.grace())):
		return Late
	default:
		return gone
	}
}

// grace is how long a late renewal is waited for: one interval.
func (r *Registration) grace() time.Duration {
	return min(max(r.Lease/Renewals, minGrace), maxGrace)
}

// waited reports whether the grace of a late one is over.
func (r *Registration) waited(now time.Time) bool { return !now.Before(r.Expires.Add(r.grace())) }

// turns is when the state changes next by itself; zero is never.
func (r *Registration) turns(now time.Time) time.Time {
	switch r.State(now) {
	case Live:
		return r.Expires
	case Late:
		if r.waited(now) {
			return r.Expires.Add(patience * r.grace())
		}
		return r.Expires.Add(r.grace())
	case Draining:
		return r.Gone.Add(DrainTime)
	default:
		return now
	}
}

// Overdue reports whether the caller should have called again: whoever registered
// since may have come in its place. One that never promised to call always is.
func (r *Registration) Overdue(now time.Time) bool {
	return r.Gone.IsZero() && (r.Lease == 0 || now.After(r.Seen.Add(r.Lease/2)))
}

// Registry is all registrations of one source. It is not safe for concurrent use.
type Registry struct {
	source  string
	objects map[objectKey]*object
	count   int
	perHost map[string]int // registrations of each client

	changed  bool // there is an object whose part or backends are to be made anew
	fragment model.Fragment
}

type objectKey struct{ client, name string }

// object is the registrations of one name.
type object struct {
	origin   model.Origin
	regs     map[Key]*Registration
	states   map[Key]State // that part and backends were made from
	part     *model.Part
	backends []*model.Backend
	dirty    bool
}

// New returns an empty Registry of the source.
func New(source string) *Registry {
	return &Registry{
		source: source, objects: map[objectKey]*object{}, perHost: map[string]int{},
		fragment: model.Fragment{Source: source},
	}
}

// Len counts registrations, those that drain included.
func (r *Registry) Len() int { return r.count }

// LenOf counts those of one client.
func (r *Registry) LenOf(client string) int { return r.perHost[client] }

// Dirty reports whether Fragment may return something else than before.
func (r *Registry) Dirty() bool { return r.changed }

// Get returns one registration, or nil.
func (r *Registry) Get(key Key) *Registration {
	if o := r.objects[objectKey{key.Client, key.Name}]; o != nil {
		return o.regs[key]
	}
	return nil
}

// Of returns the registrations of one name, in the order of their keys.
func (r *Registry) Of(client, name string) []*Registration {
	o := r.objects[objectKey{client, name}]
	if o == nil {
		return nil
	}
	return sorted(o.regs)
}

// All returns every registration, in the order of their keys.
func (r *Registry) All() []*Registration {
	all := make([]*Registration, 0, r.count)
	for _, o := range r.objects {
		for _, reg := range o.regs {
			all = append(all, reg)
		}
	}
	slices.SortFunc(all, func(a, b *Registration) int { return a.Compare(b.Key) })
	return all
}

func sorted(regs map[Key]*Registration) []*Registration {
	return slices.SortedFunc(maps.Values(regs), func(a, b *Registration) int { return a.Compare(b.Key) })
}

// Call is a request to keep something registered.
type Call struct {
	Key
	Ports []Port
	// Interval and Lease as announced; the lease must not be 0 in our own form. In
	// the old form both are learned.
	Interval, Lease time.Duration
	From            netip.Addr
}

// Effect says what a call did.
type Effect int

// What a call can do.
const (
	Renewed Effect = iota // nothing is asked for that was not before
	Changed
	Added
)

// Put registers or renews.
func (r *Registry) Put(now time.Time, c Call) Effect {
	old := r.Get(c.Key)
	reg := &Registration{
		Key: c.Key, Ports: c.Ports, Interval: c.Interval, Lease: c.Lease,
		Created: now.UTC().Round(0), Added: now, Seen: now, From: c.From,
	}
	known := old != nil && old.State(now) != gone
	if known {
		reg.Added = old.Added
		if c.Old != 0 {
			reg.learn(old, now)
		}
	}
	if reg.Lease > 0 {
		reg.Expires = now.Add(reg.Lease)
	}
	same := known && old.State(now) == Live && slices.EqualFunc(old.Ports, reg.Ports, Port.equal)
	if same {
		reg.Ports = old.Ports
	}
	r.set(reg, !same)
	switch {
	case same:
		return Renewed
	case known && old.Gone.IsZero():
		return Changed
	default:
		return Added
	}
}

// learn finds the interval of a caller that announces none: two times between
// calls that agree. What calls only once, or again when its pod is started again,
// has none, and is never taken to be late.
func (r *Registration) learn(old *Registration, now time.Time) {
	const jitter = 2 * time.Second
	r.Interval, r.Gap = old.Interval, now.Sub(old.Seen)
	low, high := min(r.Gap, old.Gap), max(r.Gap, old.Gap)
	if old.Gap > 0 && high > 0 && high-low <= max(high/4, jitter) && high <= MaxLease/Renewals {
		r.Interval = high
	}
	if r.Interval > 0 {
		r.Lease = max(Renewals*r.Interval, MinLease)
	}
}

// set takes a registration as it is; news says that it asks for something else.
func (r *Registry) set(reg *Registration, news bool) {
	key := objectKey{reg.Client, reg.Name}
	o := r.objects[key]
	if o == nil {
		o = &object{
			regs: map[Key]*Registration{}, states: map[Key]State{},
			origin: model.Origin{Source: r.source, Kind: Kind, Namespace: reg.Client, Name: reg.Name, Created: reg.Created},
		}
		r.objects[key] = o
	}
	if reg.Created.Before(o.origin.Created) {
		o.origin.Created = reg.Created
		news = true
	}
	reg.Created = o.origin.Created
	if o.regs[reg.Key] == nil {
		r.count++
		r.perHost[reg.Client]++
		news = true
	}
	o.regs[reg.Key] = reg
	o.dirty = o.dirty || news
	r.changed = r.changed || news
}

// Restore takes a registration from disk.
func (r *Registry) Restore(reg Registration) { r.set(&reg, true) }

// Delete drains the registrations of a name that which takes, and returns them.
func (r *Registry) Delete(now time.Time, client, name string, which func(Key) bool) []*Registration {
	var deleted []*Registration
	for _, reg := range r.Of(client, name) {
		if !which(reg.Key) || !reg.Gone.IsZero() {
			continue
		}
		drained := *reg
		drained.Gone = now
		r.set(&drained, true)
		deleted = append(deleted, &drained)
	}
	return deleted
}

// Drop takes one registration out at once: what it leads to is not there.
func (r *Registry) Drop(key Key) {
	o := r.objects[objectKey{key.Client, key.Name}]
	if o == nil || o.regs[key] == nil {
		return
	}
	delete(o.regs, key)
	delete(o.states, key)
	r.count--
	if r.perHost[key.Client]--; r.perHost[key.Client] == 0 {
		delete(r.perHost, key.Client)
	}
	o.dirty, r.changed = true, true
}

// Expire lets leases and drains end, and returns what left for good and when
// something will change next; zero is never. Who is late goes when its grace is
// over and nobody else is in one.
func (r *Registry) Expire(now time.Time) (left []*Registration, next time.Time) {
	hopeful := r.hopeful(now)
	for _, o := range r.objects {
		for key, reg := range o.regs {
			state := reg.State(now)
			if state == gone || state == Late && !hopeful && reg.waited(now) {
				left = append(left, reg)
				r.Drop(key)
				continue
			}
			if state != o.states[key] {
				o.dirty, r.changed = true, true
			}
			if at := reg.turns(now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	slices.SortFunc(left, func(a, b *Registration) int { return a.Compare(b.Key) })
	return left, next
}

// hopeful reports whether somebody is late and may still come back.
func (r *Registry) hopeful(now time.Time) bool {
	for _, o := range r.objects {
		for _, reg := range o.regs {
			if reg.State(now) == Late && !reg.waited(now) {
				return true
			}
		}
	}
	return false
}

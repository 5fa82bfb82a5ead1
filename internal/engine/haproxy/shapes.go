package haproxy

import (
	"encoding/json"
	"hash/fnv"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// layout numbers the contract between the files of a generation and the runtime
// commands for its worker: the names of sections, servers, maps, spares and
// sockets, and what a map's values mean. A Landfall that finds a worker of another
// layout loads anew; one that only writes the same things in other words does not.
const layout = 1

// loaded is what a worker has loaded that only a reload can change: the shape of
// each section, by the model's name. What the model no longer wants stays in it
// until the next reload, so that it can come back at run time.
type loaded struct {
	Layout    int               `json:"layout"`
	Global    string            `json:"global"`
	Listeners map[string]string `json:"listeners"`
	Backends  map[string]string `json:"backends"`
	Probes    map[string]string `json:"probes"` // probe -> its path
	Spares    int               `json:"spares"`
	Slots     map[string]int    `json:"slots"`  // path of probes -> how many
	Limits    bool              `json:"limits"` // it knows limits in maps
}

// same reports whether loading m would change nothing of l.
func (l loaded) same(m loaded) bool {
	m.Spares = l.Spares
	return reflect.DeepEqual(l, m)
}

// A shape is a fingerprint of what was asked for and not of the text that came of
// it: a newer Landfall that writes it better waits with that until something else
// needs a reload. A field may be added to what is shaped when its zero value means
// what was meant before there was the field, and is then left out.
func shape(asked any) string {
	data, err := json.Marshal(asked)
	if err != nil {
		panic("shape: " + err.Error()) // its types have nothing that JSON cannot say
	}
	return fingerprint(string(data))
}

func fingerprint(text string) string {
	h := fnv.New64a()
	h.Write([]byte(text))
	return strconv.FormatUint(h.Sum64(), 36)
}

// globalShape is the shape of all that belongs to no object.
func globalShape(s Settings, extra string) string {
	return shape(struct {
		Dir, RunDir, User string
		UserChosen        bool `json:",omitzero"`
		OpenFiles         int
		Syslog            bool `json:",omitzero"`
		OKPort            uint16
		Metrics           bool   `json:",omitzero"`
		Extra             string `json:",omitzero"`
	}{s.Dir, s.RunDir, s.User, s.UserChosen, s.OpenFiles, s.Syslog, s.OKPort, s.Features.Prometheus, extra})
}

func (s Settings) listenerShape(l *model.Listener, route *model.Route) string {
	asked := struct {
		Port      uint16
		Protocol  model.Protocol
		Addresses []netip.Addr   `json:",omitzero"`
		IPv6      bool           `json:",omitzero"` // of a listener on every address
		From      []netip.Prefix `json:",omitzero"`
		Backend   string         `json:",omitzero"` // of a TCP listener
		Limit     model.Limit    `json:",omitzero"` // of a TCP listener
		Limited   string         `json:",omitzero"` // who shares the limit
	}{Port: l.Port, Protocol: l.Protocol, Addresses: l.Addresses, From: l.SourceRanges}
	asked.IPv6 = len(l.Addresses) == 0 && s.IPv6
	if l.Protocol != model.HTTP && route != nil && len(route.Backends) > 0 {
		asked.Backend = route.Backends[0].Name
		if asked.Limit = route.Limit; route.Limit != (model.Limit{}) {
			asked.Limited = limitID(route.Origin)
		}
	}
	return shape(asked)
}

// backendShape leaves the name out: a spare must look like what it serves.
func backendShape(b *model.Backend) string {
	asked := struct {
		TCP       bool   `json:",omitzero"`
		Balance   string `json:",omitzero"`
		Affinity  int    `json:",omitzero"` // seconds
		Checked   bool   `json:",omitzero"`
		CheckPath string `json:",omitzero"`
	}{TCP: b.Protocol == model.TCP, Affinity: int(b.Affinity / time.Second)}
	if b.Balance != model.Balances[0] && slices.Contains(model.Balances, b.Balance) {
		asked.Balance = b.Balance
	}
	if b.Check != nil {
		asked.Checked, asked.CheckPath = true, b.Check.HTTP
	}
	return shape(asked)
}

// shapes are what a worker has after it loaded s.
func (r renderer) shapes(s model.State, global string) loaded {
	l := loaded{
		Layout:    layout,
		Global:    global,
		Listeners: make(map[string]string, len(s.Listeners)),
		Backends:  make(map[string]string, len(s.Backends)),
		Probes:    make(map[string]string, len(s.Probes)),
		Spares:    r.settings.Spares,
		Slots:     slotCounts(s.Probes),
		Limits:    true,
	}
	tcp := tcpRoutes(s)
	for _, x := range s.Listeners {
		l.Listeners[x.Name] = r.settings.listenerShape(x, tcp[x.Name])
	}
	for _, x := range s.Backends {
		l.Backends[x.Name] = backendShape(x)
	}
	for _, x := range s.Probes {
		l.Probes[x.Name] = x.Path
	}
	return l
}

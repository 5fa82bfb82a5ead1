package phonehome

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// request is one call of an edge; the token is added to it when it is made.
type request struct {
	method, url string
	body        []byte
	old         bool
}

// registration is the body of our own form.
type registration struct {
	Address         string `json:"address,omitempty"`
	LeaseSeconds    int    `json:"leaseSeconds"`
	IntervalSeconds int    `json:"intervalSeconds,omitempty"`
	Ports           []Port `json:"ports"`
}

// hook is the body of the old form, whose values are all text.
type hook struct {
	DstIP        string `json:"dst-ip"`
	FrontendPort string `json:"frontend-port"`
	BackendPort  string `json:"backend-port"`
	Action       string `json:"action"`
	Name         string `json:"name"`
	SendProxy    string `json:"send-proxy"`
}

// announcing are the calls that announce everything to an edge. The old form needs
// an address; in ours the edge takes the one that it sees.
func (c Config) announcing(e Edge, address netip.Addr) []request {
	if e.Old {
		return c.hooks(e, "add", address)
	}
	body := registration{LeaseSeconds: seconds(c.Lease), IntervalSeconds: seconds(c.Interval), Ports: c.Ports}
	if address.IsValid() {
		body.Address = address.String()
	}
	return []request{{method: http.MethodPut, url: c.home(e), body: encode(body)}}
}

// takingBack are the calls that end what was announced for an address.
func (c Config) takingBack(e Edge, address netip.Addr) []request {
	if e.Old {
		return c.hooks(e, "delete", address)
	}
	return []request{{method: http.MethodDelete, url: c.home(e) + "?address=" + url.QueryEscape(address.String())}}
}

// asking asks an edge which address it sees.
func (c Config) asking(e Edge) request {
	base := e.URL
	if e.Old {
		u, _ := url.Parse(e.URL) // parsed before
		base = u.Scheme + "://" + u.Host
	}
	return request{method: http.MethodGet, url: base + "/v1/whoami"}
}

func (c Config) home(e Edge) string {
	return e.URL + "/v1/registrations/" + url.PathEscape(c.Name)
}

func (c Config) hooks(e Edge, action string, address netip.Addr) []request {
	var all []request
	for _, p := range c.Ports {
		all = append(all, request{method: http.MethodPost, url: e.URL, old: true, body: encode(hook{
			DstIP: address.String(), FrontendPort: strconv.Itoa(p.Port), BackendPort: strconv.Itoa(p.TargetPort),
			Action: action, Name: c.Name, SendProxy: p.sendProxy,
		})})
	}
	return all
}

func encode(body any) []byte {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // text and numbers only
	}
	return data
}

// seconds rounds up: a lease or interval is never told shorter than it is.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

package phonehome

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Port is one thing to serve, in the words of the request.
type Port struct {
	Port       int      `json:"port,omitempty"` // of the edge, with protocol tcp
	TargetPort int      `json:"targetPort"`
	Protocol   string   `json:"protocol"`
	Hosts      []string `json:"hosts,omitempty"`
	Paths      []string `json:"paths,omitempty"`
	SendProxy  int      `json:"sendProxy,omitempty"`
	Weight     int      `json:"weight,omitempty"`
	Check      *Check   `json:"check,omitempty"`

	sendProxy string // as it was written: the old form hands it on
}

// Check is how the edge finds out whether the port answers, if not by TCP connect.
type Check struct {
	TCP  bool   `json:"tcp,omitempty"`
	HTTP string `json:"http,omitempty"`
}

// String writes the port as ParsePort reads it, without its options.
func (p Port) String() string {
	switch p.Protocol {
	case "http":
		return fmt.Sprintf("http://%s%s=%d", p.Hosts[0], strings.Join(p.Paths, ""), p.TargetPort)
	case "tls":
		return fmt.Sprintf("tls://%s=%d", p.Hosts[0], p.TargetPort)
	default:
		return fmt.Sprintf("%d=%d", p.Port, p.TargetPort)
	}
}

func parsePorts(texts []string) ([]Port, error) {
	if len(texts) == 0 {
		return nil, errors.New("no port to announce: give --port FRONT=TARGET, for example 8443=30843, or set FRONTEND_PORT and BACKEND_PORT")
	}
	if len(texts) > maxPorts {
		return nil, fmt.Errorf("--port: %d ports, want at most %d", len(texts), maxPorts)
	}
	var ports []Port
	for _, text := range texts {
		p, err := ParsePort(text)
		if err != nil {
			return nil, fmt.Errorf("--port %q: %w", cut(text), err)
		}
		front := func(p Port) string { front, _, _ := strings.Cut(p.String(), "="); return front }
		if i := slices.IndexFunc(ports, func(other Port) bool { return front(other) == front(p) }); i >= 0 {
			return nil, fmt.Errorf("--port %q: %s is there already, as %s", cut(text), front(p), ports[i])
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// ParsePort reads FRONT=TARGET[,OPTION=VALUE...], where FRONT is a port of the edge,
// http://HOST[/PATH] or tls://HOST, and TARGET a port of this machine.
func ParsePort(text string) (Port, error) {
	whole, options, _ := strings.Cut(text, ",")
	at := strings.LastIndexByte(whole, '=')
	if at < 0 {
		return Port{}, errors.New("want FRONT=TARGET, for example 8443=30843 or http://shop.example.com/=30080")
	}
	p, err := parseFront(whole[:at])
	if err != nil {
		return Port{}, err
	}
	if p.TargetPort, err = parseNumber(whole[at+1:], 1, 65535); err != nil {
		return Port{}, fmt.Errorf("the port of this machine %w", err)
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "" {
			continue
		}
		if err := p.set(option); err != nil {
			return Port{}, err
		}
	}
	return p, nil
}

func parseFront(text string) (Port, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		port, err := parseNumber(text, 1, 65535)
		if err != nil {
			return Port{}, fmt.Errorf("the port of the edge %w", err)
		}
		return Port{Protocol: "tcp", Port: port}, nil
	}
	host, path, hasPath := strings.Cut(rest, "/")
	switch {
	case scheme != "http" && scheme != "tls":
		return Port{}, fmt.Errorf("%q is no protocol: want a port of the edge, http://HOST/PATH or tls://HOST", cut(scheme))
	case host == "" || strings.ContainsAny(host, ": \t\"\\"):
		return Port{}, fmt.Errorf("%q is no host name: http and tls use the edge's shared ports, so want HOST without a port", cut(host))
	case scheme == "tls" && hasPath:
		return Port{}, errors.New("tls is passed through unread, so it has no path: want tls://HOST")
	}
	p := Port{Protocol: scheme, Hosts: []string{strings.ToLower(host)}}
	if hasPath {
		p.Paths = []string{"/" + path}
	}
	return p, nil
}

func (p *Port) set(option string) error {
	name, value, _ := strings.Cut(option, "=")
	var err error
	switch name {
	case "send-proxy":
		p.sendProxy = value
		p.SendProxy, err = parseSendProxy(value)
	case "weight":
		if p.Weight, err = parseNumber(value, 1, 256); err != nil {
			err = fmt.Errorf("weight %w", err)
		}
	case "check":
		switch {
		case value == "tcp":
			p.Check = &Check{TCP: true}
		case strings.HasPrefix(value, "/"):
			p.Check = &Check{HTTP: value}
		default:
			err = fmt.Errorf("check %q: want tcp, or a path as /healthz", cut(value))
		}
	default:
		err = fmt.Errorf("%q is no option: want send-proxy, weight or check", cut(name))
	}
	return err
}

// parseSendProxy reads what people write into SEND_PROXY.
func parseSendProxy(value string) (int, error) {
	switch strings.ToLower(value) {
	case "0", "no", "false", "off":
		return 0, nil
	case "1", "v1", "yes", "true", "on", "send-proxy":
		return 1, nil
	case "2", "v2", "send-proxy-v2":
		return 2, nil
	}
	return 0, fmt.Errorf("send-proxy %q: want 0, 1 or 2, the version of the PROXY protocol", cut(value))
}

func parseNumber(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("is %q: want a number from %d to %d", cut(text), low, high)
	}
	return n, nil
}

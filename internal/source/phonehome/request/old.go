// Package request reads what clients of the phone-home source send, in both forms:
// that of the containers that were there before, and our own. It is pure, and
// bounded in everything that a client can make long.
package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// MaxBody is how many bytes a request may have.
const MaxBody = 64 << 10

const (
	maxName  = 63
	maxShown = 80
)

// The actions of the old form.
const (
	Add    = "add"
	Delete = "delete"
)

// Old is a request of the old form.
type Old struct {
	Action string
	Name   string
	// Address is the zero value where the request has none.
	Address       netip.Addr
	Front, Target uint16
	SendProxy     int
}

// text is a value of the old form: a string, as all of them should be, or a number.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		err := json.Unmarshal(data, &s)
		*t = text(s)
		return err
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return errors.New("a value is neither text nor a number")
	}
	*t = text(n)
	return nil
}

var badName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// DecodeOld reads a request of the old form. What cannot be served is an error.
func DecodeOld(body []byte) (Old, error) {
	var in struct {
		Address   text `json:"dst-ip"`
		Front     text `json:"frontend-port"`
		Target    text `json:"backend-port"`
		Action    text `json:"action"`
		Name      text `json:"name"`
		SendProxy text `json:"send-proxy"`
	}
	if len(body) > MaxBody {
		return Old{}, fmt.Errorf("the body has more than %d bytes", MaxBody)
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return Old{}, errors.New("the body is not a JSON object of text values")
	}
	out := Old{Action: string(in.Action), SendProxy: proxyVersion(string(in.SendProxy))}
	if out.Action != Add && out.Action != Delete {
		return Old{}, fmt.Errorf("the action is %s; it must be %s or %s", show(out.Action), Add, Delete)
	}
	var err error
	if out.Front, err = port(string(in.Front), "frontend-port"); err != nil {
		return Old{}, err
	}
	if out.Name, err = oldName(string(in.Name), out.Front); err != nil {
		return Old{}, err
	}
	// Who takes something back may leave out where it was.
	if out.Action == Add || in.Target != "" {
		if out.Target, err = port(string(in.Target), "backend-port"); err != nil {
			return Old{}, err
		}
	}
	if s := strings.TrimSpace(string(in.Address)); s != "" {
		if out.Address, err = netip.ParseAddr(s); err != nil || out.Address.Zone() != "" {
			return Old{}, fmt.Errorf("dst-ip is %s; it must be an IP address", show(s))
		}
		out.Address = out.Address.Unmap()
	}
	return out, nil
}

func port(s, field string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s is %s; it must be a port from 1 to 65535", field, show(s))
	}
	return uint16(n), nil
}

// oldName makes a name of ours of what old clients call themselves. Those without
// one were told apart by their front port.
func oldName(s string, front uint16) (string, error) {
	if len(s) > 4*maxName {
		return "", fmt.Errorf("the name has %d bytes; it may have %d", len(s), 4*maxName)
	}
	name := badName.ReplaceAllString(s, "-")
	name = strings.Trim(name[:min(len(name), maxName)], "._-")
	if name == "" {
		name = "port-" + strconv.Itoa(int(front))
	}
	return name, nil
}

// proxyVersion reads what the old form has of the PROXY protocol: HAProxy's own
// words, or anything at all for version 1, which is what "send-proxy" means.
func proxyVersion(s string) int {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "false", "no", "off":
		return 0
	case "2", "v2", "send-proxy-v2", "proxy-v2":
		return 2
	default:
		return 1
	}
}

func show(s string) string {
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return strconv.Quote(s)
}

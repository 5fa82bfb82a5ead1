package phonehome

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// hookRefused is what the old form says, with status 200, to a wrong token.
const hookRefused = "Hook rules were not satisfied."

// maxRetryAfter bounds how long an edge can make an agent be silent.
const maxRetryAfter = time.Hour

// answer is what came back, or why nothing did.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // no answer; text for people

	unsent  bool // the edge never got the call
	refused bool // and it will not, as things are
}

// result is what an answer means.
type result struct {
	wrong      string        // why it was not taken; empty: it was
	refused    bool          // and asking again the same will not help
	unsent     bool          // the edge never got it
	retryAfter time.Duration // asked for by the edge

	address netip.Addr    // under which the edge knows us, if it said
	lease   time.Duration // granted, if it said
	notes   []string      // ports that are not served, and why
}

func (r result) ok() bool { return r.wrong == "" }

// registered is the good answer of our own form.
type registered struct {
	Address      netip.Addr `json:"address"`
	LeaseSeconds int        `json:"leaseSeconds"`
	Ports        []struct {
		Port
		Served  *bool  `json:"served"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"ports"`
}

// problem is an RFC 9457 problem document.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

const noEdge = "answers, but not as an edge does (%s): is the URL that of the phone-home listener?"

// judge says what an answer to a call means.
func judge(asked request, a answer, now time.Time) result {
	switch {
	case a.err != nil:
		return result{wrong: a.err.Error(), unsent: a.unsent, refused: a.refused}
	case a.status >= 300 && a.status < 400:
		where := a.header.Get("Location")
		return result{refused: true, wrong: fmt.Sprintf("answers %d, go to %s; a redirect is not followed, as the token must not go elsewhere: set that as its URL", a.status, plain(where))}
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		return result{wrong: fmt.Sprintf("answers %d: %s", a.status, reason(a)), retryAfter: retryAfter(a.header.Get("Retry-After"), now)}
	case a.status == http.StatusUnauthorized:
		return result{refused: true, wrong: "does not accept the token: " + reason(a)}
	case a.status >= 400:
		return result{refused: true, wrong: fmt.Sprintf("refuses with %d: %s", a.status, reason(a))}
	case a.status < 200:
		return result{wrong: fmt.Sprintf(noEdge, "status "+strconv.Itoa(a.status))}
	case asked.old:
		if strings.TrimSpace(string(a.body)) == hookRefused {
			return result{refused: true, wrong: "does not accept the token (\"" + hookRefused + "\")"}
		}
		return result{}
	case asked.method == http.MethodDelete:
		return result{}
	default:
		return judgeRegistered(a)
	}
}

func judgeRegistered(a answer) result {
	var r registered
	if err := json.Unmarshal(a.body, &r); err != nil || !r.Address.IsValid() {
		return result{wrong: fmt.Sprintf(noEdge, plain(string(a.body)))}
	}
	res := result{address: r.Address.Unmap(), lease: time.Duration(min(max(r.LeaseSeconds, 0), seconds(maxLease))) * time.Second}
	for _, p := range r.Ports {
		if p.Served == nil || *p.Served {
			continue
		}
		name := fmt.Sprintf("%d=%d", p.Port.Port, p.TargetPort)
		if len(p.Hosts) > 0 {
			name = p.Port.String()
		}
		res.notes = append(res.notes, plain(fmt.Sprintf("%s is not served: %s: %s", name, p.Reason, p.Message)))
		if len(res.notes) == maxPorts {
			break
		}
	}
	return res
}

// reason finds the words for people in an answer that is no good one.
func reason(a answer) string {
	var p problem
	if json.Unmarshal(a.body, &p) != nil || p.Title == "" && p.Detail == "" {
		return plain(string(a.body))
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for i, e := range p.Errors {
		if i == 3 {
			text += "; and more"
			break
		}
		text += "; " + strings.TrimSpace(e.Pointer+" "+e.Detail)
	}
	return plain(text)
}

// plain bounds what an edge said, and leaves out what would spoil a log.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text[:min(len(text), 1000)])
	if text = strings.TrimSpace(text); text == "" {
		return "nothing"
	}
	if r := []rune(text); len(r) > 300 {
		return string(r[:300]) + "..."
	}
	return text
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

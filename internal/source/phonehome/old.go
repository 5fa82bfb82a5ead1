package phonehome

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
	"github.com/landfall-edge/landfall/internal/source/phonehome/request"
)

// The old form, to the letter of the server that its containers know.
const (
	hook        = hooks + "update-haproxy"
	tokenHeader = "X-Funkypenguin-Token"
	mismatch    = "Hook rules were not satisfied."
	unknownHook = "Hook not found."
)

// oldForm takes a request of the old form. Its callers look at no answer, so that
// what is refused is told in the log and in the status of the edge.
func (s *Source) oldForm(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != hook {
		plain(w, http.StatusNotFound, unknownHook)
		return
	}
	from := sender(r)
	c, err := s.who(r.Context(), r.Header.Get(tokenHeader))
	if err != nil {
		if r.Header.Get(tokenHeader) != "" {
			s.wrongToken(r.Context(), from)
		}
		w.Header().Set("Connection", "close")
		plain(w, http.StatusOK, mismatch)
		return
	}
	if r.Method != http.MethodPost {
		plain(w, http.StatusOK, "")
		return
	}
	if !c.limit.Allow() {
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusTooManyRequests, "")
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, request.MaxBody))
	if err != nil {
		s.refusedCall(registry.Call{Key: registry.Key{Client: c.Name}, From: from}, fmt.Sprintf("the body has more than %d bytes, or did not come as a whole", request.MaxBody))
		plain(w, http.StatusOK, "")
		return
	}
	s.oldCall(c, data, from)
	plain(w, http.StatusOK, "")
}

func (s *Source) oldCall(c *client, data []byte, from netip.Addr) {
	in, err := request.DecodeOld(data)
	if err != nil {
		s.refusedCall(registry.Call{Key: registry.Key{Client: c.Name}, From: from}, err.Error())
		return
	}
	if !in.Address.IsValid() {
		in.Address = from
	}
	call := registry.Call{
		Key:   registry.Key{Client: c.Name, Name: in.Name, Address: in.Address, Old: in.Front},
		Ports: []registry.Port{{Protocol: model.TCP, Front: in.Front, Target: in.Target, SendProxy: in.SendProxy}},
		From:  from,
	}
	if in.Action == request.Delete {
		s.takeBack(c.Name, in.Name, from, func(k registry.Key) bool { return k == call.Key })
		return
	}
	if _, problems := c.mayTake(call); len(problems) > 0 {
		s.refusedCall(call, problems[0].Detail)
		return
	}
	if _, _, _, full := s.register(call); full {
		s.refusedCall(call, "the edge keeps no more registrations")
	}
}

// refusal is a call that was not taken, kept for a while for whoever looks.
type refusal struct {
	client, name, why string
	from              netip.Addr
	since, last       time.Time
}

const (
	maxRefusals = 20
	refusalTime = 15 * time.Minute
)

func (r refusal) finding(source string) model.Finding {
	return model.Finding{
		Origin: model.Origin{Source: source, Kind: registry.Kind, Namespace: r.client, Name: r.name},
		Reason: "RegistrationRefused",
		Message: fmt.Sprintf("calls from %s since %s are refused: %s; correct the caller, or what the client may take",
			r.from, r.since.UTC().Format(time.RFC3339), r.why),
	}
}

// refusedCall tells the log and the status of a call that was not taken. The same
// one again says nothing new.
func (s *Source) refusedCall(call registry.Call, why string) {
	if s.lines.Allow() {
		s.log.Warn("phone-home", "action", "refused", "client", call.Client, "name", call.Name, "address", call.Address.String(),
			"ports", portsText(call.Ports), "from", call.From.String(), "result", why)
	}
	name := call.Name
	if name == "" {
		name = "unknown"
	}
	s.mu.Lock()
	for i, r := range s.refused {
		if r.client == call.Client && r.name == name && r.why == why && r.from == call.From {
			s.refused[i].last = s.now()
			s.mu.Unlock()
			return
		}
	}
	if len(s.refused) == maxRefusals {
		s.refused = s.refused[1:]
	}
	s.refused = append(s.refused, refusal{call.Client, name, why, call.From, s.now(), s.now()})
	s.mu.Unlock()
	s.news()
}

func (s *Source) forgetRefusals() {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.refused[:0:0]
	for _, r := range s.refused {
		if s.now().Sub(r.last) < refusalTime {
			kept = append(kept, r)
		}
	}
	s.refused = kept
}

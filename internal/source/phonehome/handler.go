package phonehome

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/source/phonehome/auth"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
	"github.com/landfall-edge/landfall/internal/source/phonehome/request"
)

const (
	// maxAwait is how long a new registration's answer waits until it is served.
	maxAwait = 2 * time.Second
	// maxWaiting is how many answers to wrong tokens are delayed at a time. What is
	// more is answered at once, and gives nobody a second try any earlier.
	maxWaiting = 4096

	hooks         = "/hooks/"
	whoami        = "/v1/whoami"
	registrations = "/v1/registrations"
)

// ServeHTTP takes both request forms.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == "/":
		plain(w, http.StatusOK, "OK")
	case strings.HasPrefix(path, hooks):
		s.oldForm(w, r)
	case path == whoami:
		s.own(w, r, http.MethodGet)
	case path == registrations:
		s.own(w, r, http.MethodGet)
	case strings.HasPrefix(path, registrations+"/"):
		s.own(w, r, http.MethodGet, http.MethodPut, http.MethodDelete)
	default:
		refuse(w, http.StatusNotFound, "there is nothing at this path; see docs/phone-home.openapi.yaml")
	}
}

// own takes a request of our own form.
func (s *Source) own(w http.ResponseWriter, r *http.Request, methods ...string) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if !contains(methods, method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, "this takes "+strings.Join(methods, ", ")+", not "+quoted(r.Method))
		return
	}
	from := sender(r)
	c, err := s.who(r.Context(), bearer(r))
	switch {
	case errors.Is(err, auth.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, err.Error()+"; landfall status on the edge says why")
		return
	case err != nil:
		s.wrongToken(r.Context(), from)
		w.Header().Set("Connection", "close") // who is nobody keeps no place
		w.Header().Set("WWW-Authenticate", `Bearer realm="landfall"`)
		refuse(w, http.StatusUnauthorized, "no client has this token; send Authorization: Bearer <token>")
		return
	case !c.limit.Allow():
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "this client sends too many requests; slow down")
		return
	}
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, registrations), "/")
	switch {
	case r.URL.Path == whoami:
		reply(w, http.StatusOK, identity{c.Name, from})
	case r.URL.Path == registrations:
		s.list(w, c)
	case method == http.MethodGet:
		s.show(w, c, name)
	case method == http.MethodPut:
		s.put(w, r, c, name, from)
	default:
		s.remove(w, r, c, name, from)
	}
}

// who is the client whose token this is.
func (s *Source) who(ctx context.Context, token string) (*client, error) {
	name, err := s.book.Who(ctx, token)
	if err != nil {
		return nil, err
	}
	return s.clients[name], nil
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// sender is the address that a request comes from.
func sender(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // the server's own word
	return from.Addr().Unmap().WithZone("")
}

// wrongToken delays the answer to a token of nobody, and no other.
func (s *Source) wrongToken(ctx context.Context, from netip.Addr) {
	delay := s.delays.Next(from, s.now())
	if s.lines.Allow() {
		s.log.Warn("phone-home", "action", "refused", "from", from.String(), "result", "no client has this token")
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// body reads a request's body; ok is false if it has been answered.
func body(w http.ResponseWriter, r *http.Request) (data []byte, ok bool) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "the body must be JSON; send Content-Type: application/json")
		return nil, false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, request.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "the body has more than 65536 bytes; register some of the ports by another name")
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body was not received as a whole")
	default:
		return data, true
	}
	return nil, false
}

func (s *Source) put(w http.ResponseWriter, r *http.Request, c *client, name string, from netip.Addr) {
	if why := request.CheckName(name); why != "" {
		refuse(w, http.StatusBadRequest, why)
		return
	}
	data, ok := body(w, r)
	if !ok {
		return
	}
	call, problems := request.DecodeOwn(data)
	if len(problems) > 0 {
		refuse(w, http.StatusBadRequest, "the registration is not right; nothing of it is served", problems...)
		return
	}
	call.Client, call.Name, call.From = c.Name, name, from
	if !call.Address.IsValid() {
		call.Address = from
	}
	if code, problems := c.mayTake(call); len(problems) > 0 {
		s.refusedCall(call, problems[0].Detail)
		refuse(w, code, "this client may not take that; nothing of it is served", problems...)
		return
	}
	reg, effect, gen, full := s.register(call)
	if full {
		w.Header().Set("Retry-After", "60")
		refuse(w, http.StatusServiceUnavailable, "the edge keeps no more registrations; take some back, or give them a shorter lease")
		return
	}
	code := http.StatusOK
	if effect != registry.Renewed {
		s.await(r.Context(), gen)
	}
	if effect == registry.Added {
		code = http.StatusCreated
	}
	reply(w, code, s.answer(reg))
}

// mayTake says what of a call the client may not ask for.
func (c *client) mayTake(call registry.Call) (code int, problems []request.Problem) {
	if why, forbidden := c.Address(call.Address); why != "" {
		code = http.StatusBadRequest
		if forbidden {
			code = http.StatusForbidden
		}
		return code, []request.Problem{{Pointer: "/address", Detail: why}}
	}
	for i, p := range call.Ports {
		if why := c.Port(p); why != "" {
			problems = append(problems, request.Problem{Pointer: pointer(i), Detail: why})
		}
	}
	return http.StatusForbidden, problems
}

// register takes a call that may be made. full says that there is no room for it.
func (s *Source) register(call registry.Call) (reg *registry.Registration, effect registry.Effect, gen uint64, full bool) {
	s.mu.Lock()
	if s.registry.Get(call.Key) == nil && (s.registry.Len() >= maxRegistrations || s.registry.LenOf(call.Client) >= maxPerClient) {
		s.mu.Unlock()
		return nil, 0, 0, true
	}
	now := s.now()
	effect = s.registry.Put(now, call)
	reg = s.registry.Get(call.Key)
	gen = s.gen
	if effect == registry.Renewed {
		s.store.renew(reg)
		s.mu.Unlock()
		return reg, effect, gen, false
	}
	gen = s.touch()
	s.store.change(reg)
	changed := s.changed
	s.mu.Unlock()
	switch effect {
	case registry.Added:
		s.audit("registered", reg, "accepted")
	default:
		s.audit("changed", reg, "accepted")
	}
	s.hurry()
	changed()
	return reg, effect, gen, false
}

func (s *Source) remove(w http.ResponseWriter, r *http.Request, c *client, name string, from netip.Addr) {
	which := func(registry.Key) bool { return true }
	if text := r.URL.Query().Get("address"); text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			refuse(w, http.StatusBadRequest, "address is no IP address; leave it out to take back every address of the name")
			return
		}
		which = func(k registry.Key) bool { return k.Address == addr.Unmap() }
	}
	if why := request.CheckName(name); why != "" {
		refuse(w, http.StatusBadRequest, why)
		return
	}
	s.takeBack(c.Name, name, from, which)
	w.WriteHeader(http.StatusNoContent)
}

// takeBack drains what which takes of a name.
func (s *Source) takeBack(clientName, name string, from netip.Addr, which func(registry.Key) bool) {
	s.mu.Lock()
	deleted := s.registry.Delete(s.now(), clientName, name, which)
	if len(deleted) > 0 {
		s.touch()
	}
	for _, reg := range deleted {
		s.store.change(reg)
	}
	changed := s.changed
	s.mu.Unlock()
	for _, reg := range deleted {
		told := *reg
		told.From = from
		s.audit("deleted", &told, "draining")
	}
	if len(deleted) > 0 {
		s.hurry()
		changed()
	}
}

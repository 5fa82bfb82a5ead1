package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// health knows which kinds cannot be read, since when and why. The reflectors
// tell it of every call, because they report to nobody what they retry.
type health struct {
	where      string // the credentials: a file, or words for a Pod's own
	staleAfter time.Duration
	now        func() time.Time
	log        *slog.Logger
	// woken gets a value when Read may have something new to say.
	woken chan struct{}

	mu    sync.Mutex
	kinds []kindHealth
}

type kindHealth struct {
	resource string
	synced   bool
	since    time.Time // of the first failure in a row; zero while it answers
	why      error
}

func newHealth(kinds []kind, where string, cfg *Config) *health {
	h := &health{where: where, staleAfter: cfg.StaleAfter, now: cfg.Now, log: cfg.Logger, woken: make(chan struct{}, 1)}
	for _, k := range kinds {
		h.kinds = append(h.kinds, kindHealth{resource: k.resourceName()})
	}
	return h
}

func (h *health) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// failed notes that a kind could not be listed or watched.
func (h *health) failed(i int, verb string, c *clients, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // the API server asks for a new list: nothing is wrong
	}
	h.mu.Lock()
	k := &h.kinds[i]
	if k.since.IsZero() {
		k.since = h.now()
	}
	k.why = explain(verb, k.resource, h.where, c.host, err)
	h.mu.Unlock()
	h.wake()
}

// answered notes that a kind is being watched.
func (h *health) answered(i int) {
	h.mu.Lock()
	was := h.kinds[i].since
	h.kinds[i].since, h.kinds[i].why = time.Time{}, nil
	h.mu.Unlock()
	if !was.IsZero() {
		h.wake()
	}
}

// synced notes that a kind was read as a whole, and reports whether it was the
// last of them.
func (h *health) synced(i int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kinds[i].synced = true
	for j := range h.kinds {
		if !h.kinds[j].synced {
			return false
		}
	}
	return true
}

// waiting says what a source that has not synced waits for.
func (h *health) waiting() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.worst(); k != nil {
		return k.why
	}
	var missing []string
	for i := range h.kinds {
		if !h.kinds[i].synced {
			missing = append(missing, h.kinds[i].resource)
		}
	}
	return errors.New("waiting for " + strings.Join(missing, ", "))
}

// stale is the longest failure that has lasted too long, or nil.
func (h *health) stale() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.worst()
	if k == nil || h.now().Sub(k.since) < h.staleAfter {
		return nil
	}
	return fmt.Errorf("out of date since %s: %w", k.since.UTC().Format(time.RFC3339), k.why)
}

// worst is the kind that has failed for longest, or nil. The caller holds mu.
func (h *health) worst() *kindHealth {
	var worst *kindHealth
	for i := range h.kinds {
		k := &h.kinds[i]
		if !k.since.IsZero() && (worst == nil || k.since.Before(worst.since)) {
			worst = k
		}
	}
	return worst
}

// watch calls changed when Read begins to say that the source is stale, says
// otherwise why, or no longer says so, and logs the beginning and the end.
func (h *health) watch(ctx context.Context, changed func()) {
	said := ""
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.woken:
		case <-timer.C:
		}
		now := ""
		if err := h.stale(); err != nil {
			now = err.Error()
		}
		switch {
		case now != "" && said == "":
			h.log.Warn("api server cannot be read", "cause", h.waiting())
		case now == "" && said != "":
			h.log.Info("api server can be read again")
		}
		if now != said {
			said = now
			changed()
		}
		if left, failing := h.untilStale(); failing {
			timer.Reset(left)
		}
	}
}

// untilStale is how long until the first failure counts.
func (h *health) untilStale() (left time.Duration, failing bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.worst()
	if k == nil {
		return 0, false
	}
	left = h.staleAfter - h.now().Sub(k.since)
	return left, left > 0
}

// userInMessage is who the API server took us for.
var userInMessage = regexp.MustCompile(`User "([^"]*)"`)

// anonymous is who the API server takes those for whose credentials it does not
// know, where it lets such ask at all.
const anonymous = "system:anonymous"

// explain says what is in the way of a request, and what to do about it.
func explain(verb, resource, where, host string, err error) error {
	asked := verb + " " + resource + ": "
	user := ""
	if m := userInMessage.FindStringSubmatch(err.Error()); m != nil {
		user = m[1]
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var outdated x509.CertificateInvalidError
	switch {
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err) && user == anonymous:
		return fmt.Errorf("%s%w in %s (a token or certificate that has expired?); put new ones there, they are read again without a restart",
			asked, ErrCredentials, where)
	case apierrors.IsForbidden(err):
		return errors.New(asked + forbidden(verb, resource, user, err))
	case errors.As(err, &unknown), errors.As(err, &outdated), errors.As(err, &name):
		return errors.New(asked + "the certificate of the API server at " + host + " is not trusted; " +
			"see certificate-authority and server in " + where + ": " + bare(err))
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return errors.New(asked + bare(err))
	}
	return errors.New(asked + "no answer from the API server at " + host + " (is it up, and does a firewall let the edge through?): " + bare(err))
}

func forbidden(verb, resource, user string, err error) string {
	as, who := "", "this source's user"
	if user != "" {
		as, who = " --as="+user, "user "+user
	}
	flags := " --all-namespaces"
	resource, sub, isSub := strings.Cut(resource, "/")
	if isSub {
		flags = " --subresource=" + sub + flags
	}
	return "the API server does not allow it to " + who + "; apply deploy/kubernetes/rbac.yaml and bind its ClusterRole landfall-edge to that user, then check with: " +
		"kubectl auth can-i " + verb + " " + resource + flags + as + " (" + bare(err) + ")"
}

// bare is an error without the address that was asked, which has query parameters
// of no interest.
func bare(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

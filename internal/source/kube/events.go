package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

const (
	// mostNote is how long Kubernetes lets the text of an Event be.
	mostNote = 1024
	// mostMessage is how much a condition holds; Kubernetes would take more.
	mostMessage = 4096
)

// note is what an Event says.
type note struct {
	warning      bool
	reason, text string
}

func noteOf(f *model.Finding) note {
	reason := f.Reason
	if !word.MatchString(reason) {
		reason = "Finding"
	}
	return note{warning: true, reason: reason, text: bound(sentence(f), mostNote)}
}

// sentence is a finding as a person reads it: the place, unless the message begins
// with it, what is wrong, and what is served all the same.
func sentence(f *model.Finding) string {
	s := f.Message
	if f.Field != "" && !strings.HasPrefix(s, f.Field+" ") {
		s = f.Field + ": " + s
	}
	if f.Accepted != "" {
		s += " (served all the same: " + f.Accepted + ")"
	}
	return s
}

// name is that of the Event with this note about an object. The same note has the
// same name, so that an edge that restarts, or its twin, does not say it again.
func (n note) name(r ref, uid types.UID) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%t\x00%s\x00%s", uid, n.warning, n.reason, n.text))
	// The name of the object is only there for people.
	const most = 200
	name := r.key.Name
	if len(name) > most {
		name = strings.TrimRight(name[:most], "-.")
	}
	return name + "." + hex.EncodeToString(sum[:8])
}

// event is the Event that is created for a note. It is of core/v1, whose count and
// times kubectl describe shows.
func (n note) event(r ref, uid types.UID, edge string, now time.Time) *corev1.Event {
	namespace, version := r.key.Namespace, "v1"
	if namespace == "" {
		namespace = metav1.NamespaceDefault // where Events about nodes go
	}
	switch r.kind {
	case object.Ingress, "IngressClass":
		version = networkingv1.SchemeGroupVersion.String()
	case "EndpointSlice":
		version = "discovery.k8s.io/v1"
	}
	kind := corev1.EventTypeNormal
	if n.warning {
		kind = corev1.EventTypeWarning
	}
	at := metav1.NewTime(now)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: n.name(r, uid)},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: version, Kind: r.kind, Namespace: r.key.Namespace, Name: r.key.Name, UID: uid,
		},
		Type: kind, Reason: n.reason, Message: n.text,
		Source:         corev1.EventSource{Component: "landfall", Host: edge},
		FirstTimestamp: at, LastTimestamp: at, Count: 1,
		ReportingController: object.Controller, ReportingInstance: edge,
	}
}

// bound cuts text to so many bytes and takes out what a terminal would obey.
func bound(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	const dots = "..."
	cut := most - len(dots)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + dots
}

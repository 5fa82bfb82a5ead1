package kube

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// fieldManager owns what this source writes. The API server remembers it with the
// object, and so who wrote a status is known after a restart.
const fieldManager = "landfall"

// exposed is the type of the condition on Services of other types than
// LoadBalancer, whose status.loadBalancer nobody may write.
const exposed = "landfall.dev/Exposed"

// statement is what a status says of where the object is served. The zero value
// says nothing.
type statement struct {
	// Ingress is status.loadBalancer.ingress as JSON.
	ingress   string
	condition condition
}

// condition is what the condition Exposed says, less the time.
type condition struct {
	status, reason, message string
	generation              int64
}

// told is what a status says, and what must be known of an object to write it.
type told struct {
	statement
	since int64 // when the condition's status came about, in Unix seconds
	// ours is whether any of it is: nothing else is ever taken away.
	ours         bool
	loadBalancer bool
	class        string // of the load balancer; "" if it has none
	generation   int64
}

// readTold reads what the status of a Service or an Ingress says; nil for others.
func readTold(obj runtime.Object) *told {
	switch o := obj.(type) {
	case *corev1.Service:
		t := &told{
			ours: managed(o.ManagedFields), generation: o.Generation,
			loadBalancer: o.Spec.Type == corev1.ServiceTypeLoadBalancer,
		}
		if o.Spec.LoadBalancerClass != nil {
			t.class = *o.Spec.LoadBalancerClass
		}
		t.ingress = list(o.Status.LoadBalancer.Ingress)
		for i := range o.Status.Conditions {
			if c := &o.Status.Conditions[i]; c.Type == exposed {
				t.condition = condition{string(c.Status), c.Reason, c.Message, c.ObservedGeneration}
				t.since = c.LastTransitionTime.Unix()
			}
		}
		return t
	case *networkingv1.Ingress:
		return &told{
			ours: managed(o.ManagedFields), generation: o.Generation,
			statement: statement{ingress: list(o.Status.LoadBalancer.Ingress)},
		}
	}
	return nil
}

// managed reports whether part of the status is ours.
func managed(fields []metav1.ManagedFieldsEntry) bool {
	return slices.ContainsFunc(fields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == fieldManager && f.Subresource == "status"
	})
}

// list is entries as JSON, so that they can be compared and sent.
func list[T any](entries []T) string {
	if len(entries) == 0 {
		return ""
	}
	b, err := json.Marshal(entries)
	if err != nil { // of strings and numbers: does not happen
		return ""
	}
	return string(b)
}

// state says what the status of an object should say of an outcome. Without ok,
// it is not for this source to say anything.
func state(kind string, t *told, unclassed bool, o *model.Outcome, findings []model.Finding) (s statement, ok bool) {
	switch {
	case kind == object.Ingress:
		return statement{ingress: ingressEntries(o)}, true
	case !t.loadBalancer:
		return statement{condition: exposedCondition(t, o, findings)}, true
	case t.class == object.Controller, t.class == "" && unclassed:
		return statement{ingress: serviceEntries(o)}, true
	case t.class == "":
		// Another controller may hold its status.loadBalancer.
		return statement{condition: exposedCondition(t, o, findings)}, true
	}
	return statement{}, false
}

func serviceEntries(o *model.Outcome) string {
	mode := corev1.LoadBalancerIPModeProxy
	entries := make([]corev1.LoadBalancerIngress, 0, len(o.Addresses))
	for _, a := range o.Addresses {
		e := corev1.LoadBalancerIngress{IP: a.String(), IPMode: &mode}
		for _, p := range o.Ports {
			e.Ports = append(e.Ports, corev1.PortStatus{Port: int32(p.Port), Protocol: corev1.ProtocolTCP, Error: portError(p.Error)})
		}
		entries = append(entries, e)
	}
	return list(entries)
}

func ingressEntries(o *model.Outcome) string {
	entries := make([]networkingv1.IngressLoadBalancerIngress, 0, len(o.Addresses))
	for _, a := range o.Addresses {
		e := networkingv1.IngressLoadBalancerIngress{IP: a.String()}
		for _, p := range o.Ports {
			e.Ports = append(e.Ports, networkingv1.IngressPortStatus{Port: int32(p.Port), Protocol: corev1.ProtocolTCP, Error: portError(p.Error)})
		}
		entries = append(entries, e)
	}
	return list(entries)
}

// word is what Kubernetes takes for the name of an error, and for a reason.
var word = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,62}$`)

// portError is an error as Kubernetes wants it of others: CamelCase behind a domain.
func portError(e string) *string {
	if e == "" {
		return nil
	}
	if !word.MatchString(e) {
		e = "Refused"
	}
	e = "landfall.dev/" + e
	return &e
}

// exposedCondition says whether and where an object is served.
func exposedCondition(t *told, o *model.Outcome, findings []model.Finding) condition {
	c := condition{status: string(metav1.ConditionTrue), reason: "Served", message: place(o), generation: t.generation}
	if c.message != "" {
		return c
	}
	c.status, c.reason = string(metav1.ConditionFalse), "NotServed"
	var why []string
	for i := range findings {
		f := &findings[i]
		if i == 0 && word.MatchString(f.Reason) {
			c.reason = f.Reason
		}
		why = append(why, sentence(f))
	}
	for _, p := range o.Ports {
		said := slices.ContainsFunc(findings, func(f model.Finding) bool { return f.Reason == p.Error })
		if p.Error != "" && !said {
			why = append(why, "port "+strconv.Itoa(int(p.Port))+": "+p.Error)
		}
	}
	c.message = bound("Not served. "+strings.Join(why, "; "), mostMessage)
	return c
}

// place is where an outcome is served, "192.0.2.10:443, 192.0.2.10:8080", and
// which of its ports are not; "" if nowhere.
func place(o *model.Outcome) string {
	var at, not []string
	for _, p := range o.Ports {
		if p.Error != "" {
			not = append(not, fmt.Sprintf("%d (%s)", p.Port, p.Error))
			continue
		}
		for _, a := range o.Addresses {
			at = append(at, netip.AddrPortFrom(a, p.Port).String())
		}
	}
	if len(at) == 0 {
		return ""
	}
	text := strings.Join(at, ", ")
	if len(not) > 0 {
		text += "; not served: " + strings.Join(not, ", ")
	}
	return bound(text, mostMessage)
}

// patch is what is sent to the API server for a statement: everything of the
// status that is ours, so that what it leaves out goes away, if it was ours.
func patch(r ref, uid types.UID, s statement, since time.Time) ([]byte, error) {
	status := make(map[string]any)
	if s.ingress != "" {
		status["loadBalancer"] = map[string]any{"ingress": json.RawMessage(s.ingress)}
	}
	if s.condition != (condition{}) {
		status["conditions"] = []metav1.Condition{{
			Type: exposed, Status: metav1.ConditionStatus(s.condition.status), Reason: s.condition.reason,
			Message: s.condition.message, ObservedGeneration: s.condition.generation, LastTransitionTime: metav1.NewTime(since),
		}}
	}
	doc := map[string]any{
		"apiVersion": "v1", "kind": r.kind, "status": status,
		// With the uid, an object of the same name that came after gets nothing.
		"metadata": map[string]any{"name": r.key.Name, "namespace": r.key.Namespace, "uid": uid},
	}
	if r.kind == object.Ingress {
		doc["apiVersion"] = networkingv1.SchemeGroupVersion.String()
	}
	return json.Marshal(doc)
}

// findPart is the part of an origin's key among sorted parts, or nil.
func findPart(parts []*model.Part, key string) *model.Part {
	i, there := slices.BinarySearchFunc(parts, key, func(p *model.Part, key string) int {
		return strings.Compare(p.Origin.Key(), key)
	})
	if !there {
		return nil
	}
	return parts[i]
}

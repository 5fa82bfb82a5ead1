package kube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// The tests in this file feed a Source as its reflectors do, for what an API server
// does not do when asked.

const kubeconfigText = `{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: c, context: {cluster: c}}]}`

func offline(t testing.TB, now func() time.Time) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfigText), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Name: "home", Kubeconfig: path, Now: now, Options: translate.Options{Reach: translate.Pods}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Source) storeOf(name string) *store {
	for i := range s.kinds {
		if s.kinds[i].name == name {
			return &store{source: s, i: i}
		}
	}
	panic("no kind " + name)
}

func service(name string) *corev1.Service {
	class := object.Controller
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "web", Name: name, UID: types.UID("uid-of-" + name), ResourceVersion: "7",
			Labels:      map[string]string{"app": name},
			Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat("x", 500)},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:ports":{}}}`)},
			},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, Selector: map[string]string{"app": name},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
}

func slice(service string, last byte) *discoveryv1.EndpointSlice {
	name, port, yes := "http", int32(8080), true
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "web", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service, "app": service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for i := range byte(4) {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{netip.AddrFrom4([4]byte{10, 1, i, last}).String()},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "web", Name: fmt.Sprintf("%s-%d", service, i), UID: "5d9f"},
		})
	}
	return s
}

// sync ends the first lists of all kinds, with these Services and Slices.
func (s *Source) sync(t testing.TB, services, slices []any) {
	t.Helper()
	for _, k := range s.kinds {
		list := map[string][]any{object.Service: services, "EndpointSlice": slices}[k.name]
		if err := s.storeOf(k.name).Replace(list, "1"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRelist lists again what has changed while nobody watched.
func TestRelist(t *testing.T) {
	s := offline(t, nil)
	changes := 0
	s.changed = func() { changes++ }
	s.sync(t, []any{service("a"), service("b"), service("c")}, nil)
	if changes != 1 {
		t.Errorf("first lists: got %d changes, want 1", changes)
	}
	before, err := s.Read(t.Context())
	if err != nil || len(before.Parts) != 3 {
		t.Fatalf("got %d parts, %v", len(before.Parts), err)
	}

	same := service("a")
	same.ResourceVersion = "8"
	same.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.10"}}
	if err := s.storeOf(object.Service).Replace([]any{same, service("b"), service("c")}, "8"); err != nil {
		t.Fatal(err)
	}
	if changes != 1 {
		t.Errorf("a list of the same: got %d changes, want none", changes-1)
	}

	other := service("b")
	other.Spec.Ports[0].Port = 81
	if err := s.storeOf(object.Service).Replace([]any{service("a"), other, service("d")}, "9"); err != nil {
		t.Fatal(err)
	}
	after, err := s.Read(t.Context())
	if err != nil || changes != 2 {
		t.Errorf("got %d changes, %v", changes, err)
	}
	var names []string
	for _, p := range after.Parts {
		names = append(names, p.Listeners[0].Name)
	}
	if diff := cmp.Diff([]string{"home/web/a/80", "home/web/b/81", "home/web/d/80"}, names); diff != "" {
		t.Error(diff)
	}
	if before.Parts[0] != after.Parts[0] {
		t.Error("what did not change is not shared")
	}
}

// TestStrip keeps a Service small, and finds out what its status says before.
func TestStrip(t *testing.T) {
	svc := service("a")
	svc.Annotations["landfall.dev/balance"] = "random"
	svc.ManagedFields = append(svc.ManagedFields, metav1.ManagedFieldsEntry{Manager: fieldManager, Subresource: "status"})
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.10"}}
	it, err := offline(t, nil).storeOf(object.Service).item(svc)
	if err != nil {
		t.Fatal(err)
	}
	if !it.told.ours || it.told.ingress != `[{"ip":"192.0.2.10"}]` || it.told.class != object.Controller || it.uid != "uid-of-a" {
		t.Errorf("got %+v", it)
	}
	want := service("a")
	want.ObjectMeta = metav1.ObjectMeta{Namespace: "web", Name: "a", Annotations: map[string]string{"landfall.dev/balance": "random"}}
	if diff := cmp.Diff(want, svc); diff != "" {
		t.Error(diff)
	}
}

// TestStale has a clock of its own: a short failure is none.
func TestStale(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := offline(t, func() time.Time { return now })
	s.sync(t, nil, nil)
	refused := &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	s.health.failed(2, "list", s.clients.Load(), refused)
	read := func() string {
		if _, err := s.Read(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := read(); got != "" {
		t.Errorf("at once: %s", got)
	}
	now = now.Add(6 * time.Second)
	s.health.failed(1, "watch", s.clients.Load(), refused)
	want := "out of date since 2026-01-02T03:04:05Z: list ingressclasses.networking.k8s.io: " +
		"no answer from the API server at https://127.0.0.1:1 (is it up, and does a firewall let the edge through?): connect: connection refused"
	if got := read(); got != want {
		t.Errorf("after a while: got  %s\nwant %s", got, want)
	}
	s.health.answered(2)
	if got := read(); got != "" {
		t.Errorf("answered: %s", got)
	}
}

// TestEnd ends a source whose API server is not there. The next attempt is due in
// an hour, and is not waited for.
func TestEnd(t *testing.T) {
	s := offline(t, nil)
	s.firstRetry = time.Hour
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, func() {}) }()
	for i := range s.kinds {
		testwait.Until(t, s.kinds[i].name+" to fail", func() bool {
			s.health.mu.Lock()
			defer s.health.mu.Unlock()
			return s.health.kinds[i].why != nil
		})
	}
	end()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testwait.Patience):
		t.Error("it does not end")
	}
}

// TestUnreadable is about a file of another user, which root could read.
func TestUnreadable(t *testing.T) {
	err := unreadable("/etc/landfall/home.kubeconfig", &fs.PathError{Op: "open", Path: "/etc/landfall/home.kubeconfig", Err: syscall.EACCES})
	want := "read kubeconfig /etc/landfall/home.kubeconfig (let the user that runs landfall read it: chown it, and chmod 600): permission denied"
	if err.Error() != want || !errors.Is(err, ErrKubeconfig) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

// TestRewrites has somebody else write the same status again and again.
func TestRewrites(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := offline(t, func() time.Time { return now })
	at, it, w := ref{object.Ingress, object.Key{Namespace: "web", Name: "a"}}, &item{told: &told{}}, &want{outcome: &model.Outcome{}}
	r := s.reporter
	r.statuses, r.events = newQueue(), newQueue()
	var waits []time.Duration
	for range 14 {
		r.wrote(at, it, w, statement{ingress: "[x]"}, now)
		waits = append(waits, r.wants[at].notBefore.Sub(now))
		now = r.wants[at].notBefore
	}
	if waits[0] > time.Second || waits[1] <= waits[0] || waits[13] != lastRewrite {
		t.Errorf("got %v", waits)
	}
	if n := r.events.Len(); n != 1 {
		t.Errorf("events about the same: got %d, want 1", n)
	}
}

// TestFlood reports more about one namespace than it may take of everybody's room.
func TestFlood(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := offline(t, func() time.Time { return now }).reporter
	count := func(namespace string) int {
		n := 0
		for range 1000 {
			if r.allow(namespace) {
				n++
			}
		}
		return n
	}
	if n := count("loud"); n != namespaceBurst {
		t.Errorf("at once: got %d", n)
	}
	if n := count("quiet"); n != namespaceBurst {
		t.Errorf("another namespace: got %d", n)
	}
	now = now.Add(3 * namespacePause)
	if n := count("loud"); n != 3 {
		t.Errorf("later: got %d", n)
	}
}

func FuzzNote(f *testing.F) {
	f.Add("spec.ports[1]", "PortTaken", "port 443 is held", "port 80", "shop")
	f.Add("a\nb", "a b", strings.Repeat("é", 2000)+"\x00\x1b[31m", "\xff", strings.Repeat("a.", 126)+"a")
	f.Fuzz(func(t *testing.T, field, reason, message, accepted, name string) {
		n := noteOf(&model.Finding{Field: field, Reason: reason, Message: message, Accepted: accepted})
		if len(n.text) > mostNote || !utf8.ValidString(n.text) || strings.ContainsAny(n.text, "\n\x00\x1b") || !word.MatchString(n.reason) {
			t.Errorf("got %+v", n)
		}
		at := ref{object.Service, object.Key{Namespace: "web", Name: name}}
		if e := n.event(at, "uid", "shore", time.Time{}); len(e.Name) > 253 {
			t.Errorf("name of %d bytes", len(e.Name))
		}
	})
}

// BenchmarkEndpointChange is what an endpoint change costs before anything is done
// about it; it must not grow with what exists.
func BenchmarkEndpointChange(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := offline(b, nil)
			var services, list []any
			for i := range n {
				name := fmt.Sprintf("shop-%d", i)
				services, list = append(services, service(name)), append(list, slice(name, 1))
			}
			s.sync(b, services, list)
			if _, err := s.Read(b.Context()); err != nil {
				b.Fatal(err)
			}
			st := s.storeOf("EndpointSlice")
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := st.Update(slice(fmt.Sprintf("shop-%d", i%n), byte(2+i/n%250))); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestIngressStatus(t *testing.T) {
	i := &networkingv1.Ingress{}
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.10", Ports: []networkingv1.IngressPortStatus{{Port: 80, Protocol: corev1.ProtocolTCP}}}}
	o := &model.Outcome{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []model.PortOutcome{{Port: 80}}}
	got, ok := state(object.Ingress, readTold(i), false, o, nil)
	if !ok || got != readTold(i).statement {
		t.Errorf("what was written is not what is wanted: %+v", got)
	}
}

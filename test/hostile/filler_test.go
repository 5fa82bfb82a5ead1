package hostile_test

import (
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// texts are what fields are filled with: words that mean something to an edge, and
// what would mean something to HAProxy if it came through.
func texts() []string {
	return []string{
		"", "landfall", "landfall.dev/edge", "shop", "evil", "good", "main", "evil.test", "good.test", "GOOD.test", "*.test", "*.good.test",
		"xn--bcher-kva.test", "good.test.", "good.test/private", "/", "/private", "/public/", "/../private", "//private", "/%2fprivate", "/%[src]",
		`/a"b'c\d;e<<`, "http", "https", "h2c", "TCP", "UDP", "SCTP", "Prefix", "Exact", "ImplementationSpecific", "LoadBalancer", "NodePort", "ClusterIP",
		"ExternalName", "None", "ClientIP", "Local", "Cluster", "IPv4", "IPv6", "FQDN", "Ready", "True", "False", "InternalIP", "Pod", "shop-1",
		"10.0.0.7", "10.0.0.8", "2001:db8::7", "127.0.0.1", "::1", "::ffff:10.0.0.9", "fe80::1%eth0", "0.0.0.0", "192.0.2.10", "10.0.0.0/8", "0.0.0.0/0",
		"::/0", "192.0.2.0/33", "true", "false", "v1", "v2", "leastconn", "source", "80", "443:http,8080:80", "0,-1,65536:x", "5", "100/s",
		"a\nb", "a\x00b", "a b", "a\r\nHost: good.test", "%[src]", "${HOME}", "#", "'\"\\", "<<", "../good/shop", "good/shop", "x;show info", "\u2028\u202e", "\xff\xfe",
		strings.Repeat("a", 63), strings.Repeat("a.", 126) + "a", strings.Repeat("a", 254), "/" + strings.Repeat("a", 1023), "/" + strings.Repeat("a", 1024), strings.Repeat("x", 256<<10),
		"landfall-spare-0001", "landfall-not-found", "backend x", "  server x 127.0.0.1:1",
	}
}

func annotationNames() []string {
	const p = "landfall.dev/"
	return []string{
		p + "expose", p + "ports", p + "vip", p + "balance", p + "proxy-protocol", p + "limit-rps", p + "limit-connections", p + "x\n", "kubernetes.io/ingress.class",
		"ingressclass.kubernetes.io/is-default-class", "kubernetes.io/service-name",
	}
}

func numbers() []int64 {
	return []int64{0, 1, 80, 443, 8080, 30080, 9000, 65535, 65536, 86400, 86401, -1, -1 << 31, 1<<31 - 1, 1 << 40, -1 << 63, 1<<63 - 1}
}

// filler fills values by the bytes of an input.
type filler struct {
	data    []byte
	texts   []string
	names   []string
	numbers []int64
}

func newFiller(data []byte) *filler { return &filler{data, texts(), annotationNames(), numbers()} }

func (f *filler) next() int {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return int(b)
}

// text is one of the texts, or bytes of the input itself.
func (f *filler) text() string {
	n := f.next()
	if n < 2*len(f.texts) {
		return f.texts[n%len(f.texts)]
	}
	n = min(n%16, len(f.data))
	s := string(f.data[:n])
	f.data = f.data[n:]
	return s
}

// unread are fields that a source drops before a translator sees them, or that say
// nothing to any: they are not worth the bytes of an input.
const unread = " ManagedFields OwnerReferences Finalizers UID SelfLink GenerateName ResourceVersion Generation DeletionGracePeriodSeconds " +
	"LoadBalancer Images VolumesInUse VolumesAttached NodeInfo DaemonEndpoints Config RuntimeHandlers Features Capacity Allocatable " +
	"ConfigSource PodCIDRs DeclaredFeatures Hints APIVersion "

func (f *filler) fill(v reflect.Value) {
	if t, ok := v.Addr().Interface().(*metav1.Time); ok {
		t.Time = time.Unix(f.numbers[f.next()%9]*40_000, 0)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.text())
	case reflect.Bool:
		v.SetBool(f.next()%2 == 1)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(f.numbers[f.next()%len(f.numbers)]) // of an int32, what is left of it
	case reflect.Pointer:
		if f.next()%3 > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
		}
	case reflect.Slice:
		n := f.next() % 4
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[string]string]() {
			m := map[string]string{}
			for range f.next() % 4 {
				m[f.names[f.next()%len(f.names)]] = f.text()
			}
			v.Set(reflect.ValueOf(m))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && !strings.Contains(unread, " "+v.Type().Field(i).Name+" ") {
				f.fill(v.Field(i))
			}
		}
	}
}

// objects are made of the whole input.
func (f *filler) objects() []runtime.Object {
	var all []runtime.Object
	for len(f.data) > 0 && len(all) < 16 {
		kinds := []runtime.Object{
			&networkingv1.Ingress{}, &networkingv1.Ingress{}, &corev1.Service{}, &corev1.Service{}, &discoveryv1.EndpointSlice{}, &corev1.Node{}, &networkingv1.IngressClass{},
			&corev1.Endpoints{}, //nolint:staticcheck // folders hold them
			&corev1.Namespace{},
		}
		o := kinds[f.next()%len(kinds)]
		f.fill(reflect.ValueOf(o).Elem())
		f.plausible(o)
		keepApart(o.(metav1.Object))
		all = append(all, o)
	}
	return all
}

// likely is true for most bytes.
func (f *filler) likely() bool { return f.next()%8 != 7 }

func (f *filler) one(of ...string) string { return of[f.next()%len(of)] }

// plausible sets, for most bytes, what an object needs to be looked at more closely:
// random fields alone would hardly ever be served.
func (f *filler) plausible(o runtime.Object) {
	meta := o.(metav1.Object)
	if f.likely() {
		meta.SetName(f.one("shop", "shop", "other"))
		meta.SetNamespace(f.one("evil", "evil", "evil", "a"))
	}
	landfall := "landfall.dev/edge"
	switch o := o.(type) {
	case *networkingv1.Ingress:
		f.plausibleIngress(o)
	case *corev1.Service:
		if f.likely() {
			o.Spec.Type, o.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, &landfall
		}
		if f.likely() {
			o.Spec.Ports = append(o.Spec.Ports, corev1.ServicePort{Name: "web", Port: 80, NodePort: 30080}, corev1.ServicePort{Port: 8000, NodePort: 30081})
		}
		if f.likely() {
			delete(o.Annotations, "landfall.dev/vip")
			delete(o.Annotations, "landfall.dev/ports")
		}
		if f.likely() {
			o.Spec.LoadBalancerSourceRanges = []string{"10.0.0.0/8", "::/0"}[:f.next()%3]
		}
	case *discoveryv1.EndpointSlice:
		if f.likely() {
			o.Labels = map[string]string{discoveryv1.LabelServiceName: "shop"}
			port, name := int32(8080), ""
			o.Ports = append(o.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port})
			o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{Addresses: []string{f.one("10.0.0.7", "2001:db8::7")}})
		}
	case *corev1.Node:
		if f.likely() {
			o.Status.Addresses = append(o.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "10.0.0.7"})
		}
	}
}

func (f *filler) plausibleIngress(o *networkingv1.Ingress) {
	class := "landfall"
	if f.likely() {
		o.Spec.IngressClassName = &class
	}
	for i := range o.Spec.Rules {
		r := &o.Spec.Rules[i]
		if f.likely() {
			r.Host = f.one("evil.test", "*.evil.test", "good.test", "*.test", "")
		}
		if r.HTTP == nil {
			continue
		}
		for j := range r.HTTP.Paths {
			p := &r.HTTP.Paths[j]
			if f.likely() {
				kind := networkingv1.PathType(f.one("Prefix", "Exact", "ImplementationSpecific"))
				p.PathType, p.Path = &kind, "/"+p.Path
			}
			if f.likely() {
				p.Backend.Service = &networkingv1.IngressServiceBackend{Name: "shop", Port: networkingv1.ServiceBackendPort{Number: 80}}
			}
		}
	}
}

// keepApart takes from an object what only the cluster's owner or the neighbour
// himself could give it: his namespace, his class, and a greater age.
func keepApart(o metav1.Object) {
	if o.GetNamespace() == "good" {
		o.SetNamespace("evil")
	}
	if _, class := o.(*networkingv1.IngressClass); class && o.GetName() == "landfall" {
		o.SetName("other")
	}
	if t := o.GetCreationTimestamp(); !t.IsZero() && t.Year() < 2001 {
		o.SetCreationTimestamp(metav1.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
	}
}

package hostile_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// attack is what somebody writes, what he is told, and where requests end then.
type attack struct {
	text string
	// says are parts of findings, one of which each must be there.
	says []string
	// answers are the requests ("host/path") that the objects are served at all the
	// same, by the backend evil; "" in it: 503.
	answers map[string]string
}

// ingress is one of namespace evil, with a rule for each pair of host and path.
func ingress(name string, hostsAndPaths ...string) *networkingv1.Ingress {
	class, kind := "landfall", networkingv1.PathTypeImplementationSpecific
	ing := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "evil"},
		Spec:       networkingv1.IngressSpec{IngressClassName: &class},
	}
	for i := 0; i+1 < len(hostsAndPaths); i += 2 {
		ing.Spec.Rules = append(ing.Spec.Rules, networkingv1.IngressRule{
			Host: hostsAndPaths[i],
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: hostsAndPaths[i+1], PathType: &kind,
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "shop", Port: networkingv1.ServiceBackendPort{Number: 80}}},
			}}}},
		})
	}
	return ing
}

func balancer(name string, ports ...corev1.ServicePort) *corev1.Service {
	class := "landfall.dev/edge"
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "evil"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, Ports: ports},
	}
}

// docs writes objects as a file of manifests.
func docs(objects ...any) string {
	var b strings.Builder
	for _, o := range objects {
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "%s\n---\n", text)
	}
	return b.String()
}

func annotated[T metav1.Object](o T, annotations map[string]string) T {
	o.SetAnnotations(annotations)
	return o
}

const injection = "/x HTTP/1.1\r\nHost: good.test\r\n\r\nGET /private"

func attacks(port int32) map[string]attack {
	big, control := strings.Repeat("x", 1<<20), "a\x00b\n  bind :1\r\n%[src]'\"\\;<<{}$HOME#\u2028\x1b[31m"
	all := map[string]attack{}
	for name, host := range map[string]string{
		"newline": "evil.test\n  bind :1", "quotes": `evil'".test`, "sample": "%[src].test", "NUL": "evil\x00.test", "1 MB": big,
		"slash": "good.test/public", "port": "good.test:80", "trailing dot": "good.test.", "254 characters": strings.Repeat("a.", 127),
		"unicode": "bücher.test", "dots": "..", "star": "*", "stars": "*.*.test", "space": "good.test evil.test",
		"address": "127.0.0.1", "IPv6": "[::1]", "hash": "#good.test", "injection": "evil.test\r\nHost: good.test", "payload": "evil.test <<",
	} {
		all["host: "+name] = attack{docs(ingress("bad", host, "/", "held.test", "/")), []string{"spec.rules[0].host"}, nil}
	}
	all["host: other case"] = attack{docs(ingress("bad", "GOOD.Test", "/private", "held.test", "/")), []string{"spec.rules[0].host"}, nil}
	all["host: taken"] = attack{docs(ingress("bad", "good.test", "/private", "held.test", "/")), []string{"RouteConflict"}, map[string]string{"held.test/": "/"}}
	all["host: punycode"] = attack{docs(ingress("idn", "xn--bcher-kva.test", "/")), nil, map[string]string{"xn--bcher-kva.test/": "/", "XN--Bcher-kva.test./": "/"}}
	label := strings.Repeat("a", 63)
	longest := strings.Join([]string{label, label, label, label[:56] + ".test"}, ".")
	all["host: 253 characters"] = attack{docs(ingress("long", longest, "/")), nil, map[string]string{longest + "/": "/"}}
	for name, path := range map[string]string{
		"newline": "/x\n  bind :1", "NUL": "/x\x00", "1 MB": "/" + big, "injection": injection, "query": "/?x", "fragment": "/x#y",
		"space": "/ x", "delete": "/\x7f", "not ASCII": "/é",
	} {
		all["path: "+name] = attack{docs(ingress("bad", "held.test", path, "held.test", "/")), []string{"spec.rules[0].http.paths[0].path"}, map[string]string{"held.test/": "/"}}
	}
	for _, path := range []string{"private", "../private", "*", "?x"} {
		all["path without a slash: "+path] = attack{docs(ingress("slashless", "held.test", path)), []string{"must begin with"}, map[string]string{"held.test/": "404"}}
	}
	for name, path := range map[string]string{
		"sample": "/%[src]", "quotes": `/a"b'c`, "backslash": `/a\b`, "semicolon": "/a;b", "payload": "/a<<", "up inside": "/a/../private", "doubled": "//private",
		"encoded slash": "/a%2fprivate", "braces": "/{a}${b}", "1024 bytes": "/" + strings.Repeat("x", 1023), "hash-free": "/!$&()*+,-.:=@_~[]|^`", "a rule": "/;http-request",
	} {
		all["path as it is: "+name] = attack{docs(ingress("odd", "held.test", path)), nil, map[string]string{"held.test" + path: path, "held.test/": "404"}}
	}
	for _, name := range []string{"expose", "ports", "vip", "balance", "proxy-protocol", "limit-rps", "limit-connections", control, big[:250]} {
		for kind, value := range map[string]string{"control characters": control, "256 kB": big[:255<<10]} {
			a := map[string]string{"landfall.dev/" + name: value}
			svc := balancer("noted", corev1.ServicePort{Port: port})
			all[fmt.Sprintf("annotation %.20q: %s", name, kind)] = attack{docs(annotated(ingress("noted", "held.test", "/"), a), annotated(svc, a)), []string{"metadata.annotations"}, nil}
		}
	}
	names := map[string]string{"newline": "a\n  bind :1", "slash": "../good/shop", "NUL": "a\x00", "1 MB": big, "254": big[:254], "sample": "%[src]", "a map's line": "good.test/ x", "empty": ""}
	for kind, name := range names {
		other := ingress("x", "held.test", "/")
		other.Name = name
		all["name of an Ingress: "+kind] = attack{docs(other), []string{"metadata.name"}, map[string]string{"held.test/": "404"}}
		other = ingress("x", "held.test", "/")
		other.Namespace = cmp.Or(name, "Ä")
		all["namespace: "+kind] = attack{docs(other), []string{"metadata.namespace"}, map[string]string{"held.test/": "404"}}
		svc := balancer("x", corev1.ServicePort{Port: port})
		svc.Name = name
		all["name of a Service: "+kind] = attack{docs(svc), []string{"metadata.name"}, nil}
		ref := ingress("ref", "held.test", "/")
		ref.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = name
		all["name of a backend: "+kind] = attack{docs(ref), []string{"backend.service.name"}, map[string]string{"held.test/": "404"}}
	}
	long := ingress(strings.TrimSuffix(strings.Repeat(label+".", 4), "."), "held.test", "/")
	long.Name = long.Name[:253]
	all["name: 253 characters"] = attack{docs(long), nil, map[string]string{"held.test/": "/"}}
	steal := ingress("steal", "held.test", "/")
	steal.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "shop.good"
	all["another namespace's Service"] = attack{docs(steal), []string{"backend.service.name"}, map[string]string{"held.test/": "404"}}
	for name, p := range map[string]int32{"0": 0, "-1": -1, "65536": 65536, "huge": 1<<31 - 1} {
		all["port: "+name] = attack{docs(balancer("ports", corev1.ServicePort{Port: p})), []string{"spec.ports[0].port"}, nil}
	}
	all["ports: out of range"] = attack{
		docs(annotated(balancer("ports", corev1.ServicePort{Port: port}), map[string]string{"landfall.dev/ports": "0,-1,65536,99999:1,x,:,443:\n"})),
		[]string{"is a number from 1 to 65535"},
		nil,
	}
	ranged := balancer("ranged", corev1.ServicePort{Port: port})
	ranged.Spec.LoadBalancerSourceRanges = []string{"0.0.0.0/33", "::/129", "\n", "-f /etc/passwd", big}
	all["source ranges"] = attack{docs(ranged), []string{"loadBalancerSourceRanges"}, nil}
	all["a class of that name"] = attack{docs(&networkingv1.IngressClass{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "IngressClass"}, ObjectMeta: metav1.ObjectMeta{Name: "landfall"},
		Spec: networkingv1.IngressClassSpec{Controller: "example.com/mine"},
	}), []string{"DuplicateObject"}, nil}
	for name, a := range raw() {
		all["text: "+name] = a
	}
	return all
}

// raw are files that are no objects, or not at first sight.
func raw() map[string]attack {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return map[string]attack{
		"a bomb of aliases":   {bomb, []string{"zz-evil.yaml"}, nil},
		"an alias to itself":  {"a: &a [*a]\n", []string{"zz-evil.yaml"}, nil},
		"deep nesting":        {strings.Repeat("[", 100_000), []string{"zz-evil.yaml"}, nil},
		"deep nesting, right": {strings.Repeat("{a: ", 1000) + strings.Repeat("}", 1000), []string{"zz-evil.yaml"}, nil},
		"NUL":                 {"apiVersion: v1\nkind: Service\x00\n", []string{"zz-evil.yaml"}, nil},
		"not UTF-8":           {"apiVersion: v1\nkind: \xff\xfe\n", []string{"zz-evil.yaml"}, nil},
		"more than 4 MiB":     {"# " + strings.Repeat("x", 4<<20), []string{"zz-evil.yaml"}, nil},
		"keys twice":          {"apiVersion: v1\nkind: Service\nkind: Ingress\nmetadata: {name: x}\n", []string{"zz-evil.yaml"}, nil},
		"the neighbour's own": {site("good", "evil.test", "127.0.0.1:9", "/private"), []string{"DuplicateObject"}, nil},
	}
}

// TestObjects writes them one by one into a folder, beside a neighbour who is asked
// all the time: whatever they are, he is served, and so is who comes after them.
func TestObjects(t *testing.T) {
	serve := func(name string) string {
		return testnet.Serve(t, "127.0.0.1:0", tells(name)).Address.String()
	}
	w := newWorld(t, "")
	w.write("sites.yaml", neighbour(serve("good"), serve("public"))+"---"+site("evil", "evil.test", serve("evil"), "/"))
	w.answers("good.test", "/", "good /")
	w.answers("evil.test", "/", "evil /")
	asked := w.ask("good.test", "/private", "good /private")
	all := attacks(int32(testnet.FreePort(t)))
	n := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		// Who comes after it is served, and so it has been read.
		w.write("zz-evil.yaml", a.text)
		n++
		later := ingress("later", fmt.Sprintf("n%d.test", n), "/")
		w.write("zz-later.yaml", docs(later))
		w.answers(later.Spec.Rules[0].Host, "/", "evil /")
		for _, says := range a.says {
			testwait.UntilSeen(t, name+": a finding says "+says, func() (bool, string) {
				said := w.findings()
				return strings.Contains(said, says), said
			})
		}
		for request, want := range a.answers {
			host, path, _ := strings.Cut(request, "/")
			got := w.raw("GET /" + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
			switch {
			case want == "404" && len(got) == 1 && strings.HasPrefix(got[0], "404"):
			case len(got) == 1 && got[0] == "200 evil "+want:
			case want == "/%[src]" && len(got) == 1 && got[0] == "400 400 Bad Request": // it came there, and Go's server takes no such URI
			default:
				t.Errorf("%s: %s is answered %q, want %s\n%s", name, request, got, want, w.findings())
			}
		}
		for path, want := range map[string]string{"/": "good /", "/public": "public /public"} {
			if code, body := w.get("good.test", path); body != want {
				t.Errorf("%s: the neighbour's %s is answered %d %q", name, path, code, body)
			}
		}
		for _, f := range w.app.Status(t.Context()).Findings {
			for _, text := range []string{f.Name, f.Namespace, f.Field, f.Message, f.Accepted} {
				if len(text) > 3000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' }) {
					t.Errorf("%s: a finding holds %.200q", name, text)
				}
			}
		}
	}
	w.remove("zz-evil.yaml")
	asked.stop()
	s := w.app.Status(t.Context())
	t.Logf("%d attacks, %d reloads", n, s.HAProxy.Reloads)
	if len(s.Routes) > 20 || slices.ContainsFunc(s.Findings, func(f status.Finding) bool { return f.Reason == "Refused" }) {
		t.Errorf("in the end there are %d routes and\n%s", len(s.Routes), w.findings())
	}
}

package phonehome_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/testnet"
)

// document is the OpenAPI file, as far as it is compared.
type document struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas   map[string]*schema
		Responses map[string]response
	}
}

type operation struct{ Responses map[string]response }

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema *schema }
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]*schema
	Required   []string
	Items      *schema
	Enum       []string
	Minimum    *float64
	Maximum    *float64
}

func readDocument(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile("../../docs/phone-home.openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &document{}
	if err := yaml.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// check wants an answer to be one that the document has for this operation.
func (d *document) check(t *testing.T, method, path string, a answer) {
	t.Helper()
	var op operation
	if err := json.Unmarshal(d.Paths[path][strings.ToLower(method)], &op); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	r, ok := op.Responses[strconv.Itoa(a.code)]
	if !ok {
		t.Errorf("%s %s answers %d, and the document has no such response", method, path, a.code)
		return
	}
	if r.Ref != "" {
		r = d.Components.Responses[r.Ref[strings.LastIndex(r.Ref, "/")+1:]]
	}
	if len(r.Content) == 0 {
		if a.text != "" {
			t.Errorf("%s %s: a body: %s", method, path, a.text)
		}
		return
	}
	content, ok := r.Content[a.header.Get("Content-Type")]
	if !ok {
		t.Errorf("%s %s: %d has the content type %s", method, path, a.code, a.header.Get("Content-Type"))
		return
	}
	var value any
	if err := json.Unmarshal([]byte(a.text), &value); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range d.compare("", content.Schema, value) {
		t.Errorf("%s %s: %d: %s: %s", method, path, a.code, wrong, a.text)
	}
}

// compare says how a value is not as its schema has it.
func (d *document) compare(at string, s *schema, value any) (wrong []string) {
	if s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	bad := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	switch v := value.(type) {
	case map[string]any:
		if s.Type != "object" {
			bad("an object, not %s", s.Type)
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				bad("lacks %s", name)
			}
		}
		for name, field := range v {
			if s.Properties[name] == nil {
				bad("has %s, which the document has not", name)
				continue
			}
			wrong = append(wrong, d.compare(at+"/"+name, s.Properties[name], field)...)
		}
	case []any:
		if s.Type != "array" {
			bad("a list, not %s", s.Type)
		}
		for _, element := range v {
			wrong = append(wrong, d.compare(at+"/0", s.Items, element)...)
		}
	case string:
		if s.Type != "string" || len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			bad("the text %s", v)
		}
	case float64:
		if s.Type != "integer" {
			bad("a number")
		}
	case bool:
		if s.Type != "boolean" {
			bad("a truth value")
		}
	default:
		bad("%v", v)
	}
	return wrong
}

// TestOwnFormAnswers asks for every code that the document has, with every bad
// input there is, and compares. A neighbour notices nothing.
func TestOwnFormAnswers(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	d := readDocument(t)
	const all, one = "/v1/registrations", "/v1/registrations/{name}"
	const good = `{"address":"203.0.113.1","ports":[{"port":8443,"targetPort":30843}]}`
	with := func(old, now string) string { return strings.Replace(good, old, now, 1) }
	address := func(a string) string { return with("203.0.113.1", a) }
	for _, tt := range []struct {
		what, token, method, path, real, body string
		code                                  int
		detail                                string
	}{
		{"new", tokenA, "PUT", one, "", good, 201, ""},
		{"renewed", tokenA, "PUT", one, "", good, 200, ""},
		{"several protocols", tokenA, "PUT", one, "/v1/registrations/more", `{"address":"203.0.113.1","ports":[{"port":8444,"targetPort":1,"protocol":"tcp"},{"protocol":"http","hosts":["x.apps.example.com"],"targetPort":2},{"protocol":"tls","hosts":["y.apps.example.com"],"targetPort":3,"sendProxy":2}]}`, 201, ""},
		{"shown", tokenA, "GET", one, "", "", 200, ""},
		{"listed", tokenA, "GET", all, all, "", 200, ""},
		{"who", tokenA, "GET", "/v1/whoami", "/v1/whoami", "", 200, ""},
		{"not there", tokenA, "GET", one, "/v1/registrations/other", "", 404, "nothing registered"},
		{"taken back", tokenA, "DELETE", one, "", "", 204, ""},
		{"taken back again", tokenA, "DELETE", one, "", "", 204, ""},
		{"taken back from no address", tokenA, "DELETE", one, "/v1/registrations/a?address=x", "", 400, "no IP address"},
		{"no token", "", "PUT", one, "", good, 401, "Bearer"},
		{"a wrong token", "wrong", "GET", "/v1/whoami", "/v1/whoami", "", 401, "Bearer"},
		{"a wrong token for a list", "wrong", "GET", all, all, "", 401, "Bearer"},
		{"another method", tokenA, "POST", one, "", good, 405, ""},
		{"another method for a list", tokenA, "PUT", all, all, good, 405, ""},
		{"no JSON", tokenA, "PUT", one, "", `{"ports`, 400, "not the JSON object"},
		{"deep JSON", tokenA, "PUT", one, "", strings.Repeat("[", 60_000), 400, ""},
		{"an unknown field", tokenA, "PUT", one, "", with(`"ports"`, `"x":1,"ports"`), 400, `unknown field "x"`},
		{"a port as text", tokenA, "PUT", one, "", with("8443", `"8443"`), 400, "not the JSON object"},
		{"port zero", tokenA, "PUT", one, "", with("8443", "0"), 400, "/ports/0/port"},
		{"port 70000", tokenA, "PUT", one, "", with("30843", "70000"), 400, "/ports/0/targetPort"},
		{"an address that is a name", tokenA, "PUT", one, "", address("node1"), 400, "/address"},
		{"loopback", tokenA, "PUT", one, "", address("127.0.0.1"), 400, "loopback"},
		{"link-local", tokenA, "PUT", one, "", address("169.254.0.1"), 400, "link-local"},
		{"mapped loopback", tokenA, "PUT", one, "", address("::ffff:127.0.0.1"), 400, "loopback"},
		{"any address", tokenA, "PUT", one, "", address("0.0.0.0"), 400, "unspecified"},
		{"another client's network", tokenA, "PUT", one, "", address("198.51.100.1"), 403, "203.0.113.0/24"},
		{"IPv6 elsewhere", tokenA, "PUT", one, "", address("2001:db8::1"), 403, "203.0.113.0/24"},
		{"IPv6", tokenB, "PUT", one, "/v1/registrations/six", strings.Replace(address("2001:db8::1"), "8443", "8446", 1), 201, ""},
		{"another client's port", tokenA, "PUT", one, "", with("8443", "9000"), 403, "it may take 8000-8999"},
		{"another client's host", tokenA, "PUT", one, "", `{"address":"203.0.113.1","ports":[{"protocol":"http","hosts":["a.b.apps.example.com"],"targetPort":1}]}`, 403, "it may take *.apps.example.com"},
		{"hosts of one who may take none", tokenB, "PUT", one, "", `{"address":"203.0.113.1","ports":[{"protocol":"http","hosts":["a.example.com"],"targetPort":1}]}`, 403, "it may take no host"},
		{"a name with slashes", tokenA, "PUT", one, "/v1/registrations/a/b", good, 400, "name"},
		{"a name with a hidden slash", tokenA, "PUT", one, "/v1/registrations/a%2Fb", good, 400, "name"},
		{"a name with a newline", tokenA, "PUT", one, "/v1/registrations/a%0Ab", good, 400, "name"},
		{"a name with a quote", tokenA, "DELETE", one, "/v1/registrations/a%22b", "", 400, "name"},
		{"a name of 10 kB", tokenA, "PUT", one, "/v1/registrations/" + strings.Repeat("x", 10_000), good, 400, "name"},
		{"too large", tokenA, "PUT", one, "", strings.Repeat(" ", 1<<20), 413, "65536"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			path := tt.real
			if path == "" {
				path = "/v1/registrations/shop"
			}
			a := ask(t, tt.token, tt.method, path, tt.body)
			if a.code != tt.code || !strings.Contains(a.text, tt.detail) && !strings.Contains(strings.ReplaceAll(a.text, `\"`, `"`), tt.detail) {
				t.Errorf("%d %s; want %d with %s", a.code, a.text, tt.code, tt.detail)
			}
			if a.code == http.StatusMethodNotAllowed {
				if a.header.Get("Allow") == "" || d.Paths[tt.path][strings.ToLower(tt.method)] != nil {
					t.Errorf("Allow is %q", a.header.Get("Allow"))
				}
				return
			}
			if a.code == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Error("401 without WWW-Authenticate")
			}
			d.check(t, tt.method, tt.path, a)
		})
	}
	t.Run("no content type", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/v1/registrations/shop", strings.NewReader(good))
		req.Header.Set("Authorization", "Bearer "+tokenA)
		a := do(t, req)
		if a.code != http.StatusUnsupportedMediaType {
			t.Errorf("%d %s", a.code, a.text)
		}
		d.check(t, http.MethodPut, one, a)
	})
	e.neighbour(t)
}

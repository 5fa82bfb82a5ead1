package object_test

import (
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

func TestNameProblem(t *testing.T) {
	for _, c := range []struct {
		kind string
		key  object.Key
		good bool
	}{
		{object.Service, object.Key{Namespace: "web", Name: "shop"}, true},
		{object.Service, object.Key{Namespace: "web", Name: "1shop"}, true},
		{object.Service, object.Key{Namespace: "web", Name: "shop.v1"}, false},
		{object.Ingress, object.Key{Namespace: "web", Name: "shop.v1"}, true},
		{object.Ingress, object.Key{Namespace: "web.v1", Name: "shop"}, false},
		{object.Ingress, object.Key{Namespace: "web", Name: "a/b"}, false},
		{object.Node, object.Key{Name: "n1.example.com"}, true},
		{object.Node, object.Key{Name: ""}, false},
		{object.Node, object.Key{Name: "n1\n"}, false},
		{object.Node, object.Key{Name: strings.Repeat("a", 254)}, false},
	} {
		if why := object.NameProblem(c.kind, c.key); (why == "") != c.good {
			t.Errorf("%s %q: %q", c.kind, c.key, why)
		}
	}
}

// Somebody's text is short and on one line, whatever it was.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"shop":                    `shop`,
		"a b":                     `a b`,
		"":                        ``,
		"a\nb":                    `"a\nb"`,
		"\x00\x1b[31m":            `"\x00\x1b[31m"`,
		`say "hi"`:                `"say \"hi\""`,
		"\u202eevil":              `"\u202eevil"`,
		strings.Repeat("é", 1000): `"` + strings.Repeat("é", 40) + `"...`,
	} {
		if got := object.Plain(text); got != want {
			t.Errorf("%.20q: got %s, want %s", text, got, want)
		}
	}
}

// One object has at most 100 findings, and the last says how many there are more.
func TestFindingsAreBounded(t *testing.T) {
	f := object.NewFindings(model.Origin{Name: "shop"})
	for range 250 {
		f.Add("spec", "Bad", "nothing", "bad")
	}
	list := f.List()
	if len(list) != 101 || !strings.HasPrefix(list[100].Message, "150 more") {
		t.Errorf("%d findings, last %v", len(list), list[len(list)-1])
	}
}

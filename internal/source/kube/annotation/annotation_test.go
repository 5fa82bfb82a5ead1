package annotation_test

import (
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// A slip of the pen is told from a word that nobody can guess.
func TestCheckSuggests(t *testing.T) {
	for name, want := range map[string]string{
		"landfall.dev/exposed":                           "did you mean landfall.dev/expose?",
		"landfall.dev/Proxy_Protocol":                    "did you mean landfall.dev/proxy-protocol?",
		"landfall.dev/port":                              "did you mean landfall.dev/ports?",
		"landfall.dev/sticky-sessions":                   "it knows landfall.dev/balance",
		"landfall.dev/":                                  "it knows landfall.dev/balance",
		"landfall.dev/" + strings.Repeat("x\x00", 1<<20): "it knows landfall.dev/balance",
	} {
		f := object.NewFindings(model.Origin{})
		annotation.Check(object.Service, map[string]string{name: "", "example.com/x": ""}, f)
		list := f.List()
		if len(list) != 1 || !strings.Contains(list[0].Message, want) || len(list[0].Message)+len(list[0].Field) > 2000 {
			t.Errorf("%.40q: %.300v", name, list)
		}
	}
}

func TestReadPolicy(t *testing.T) {
	for value, want := range map[string]annotation.Policy{
		"v1":    {Proxy: 1, ProxySet: true},
		"v2":    {Proxy: 2, ProxySet: true},
		"true":  {Proxy: 2, ProxySet: true},
		"false": {ProxySet: true},
		"V2":    {},
		"":      {},
	} {
		if got := annotation.ReadPolicy(map[string]string{annotation.ProxyProtocol: value}, nil); got != want {
			t.Errorf("%q: got %+v, want %+v", value, got, want)
		}
	}
	for _, balance := range model.Balances {
		if got := annotation.ReadPolicy(map[string]string{annotation.Balance: balance}, nil); got.Balance != balance {
			t.Errorf("%q: got %+v", balance, got)
		}
	}
}

package haproxy

import (
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// A worker that a Landfall without limits loaded is loaded anew for the first one,
// and for nothing else.
func TestLimitNeedsItsRules(t *testing.T) {
	route := &model.Route{Name: "r", Listener: "main/http", Match: model.Match{Path: "/"}}
	free := model.State{Listeners: []*model.Listener{{Name: "main/http", Port: 80, Protocol: model.HTTP}}, Routes: []*model.Route{route}}
	with := *route
	with.Limit.Rate = 1
	want := free
	want.Routes = []*model.Route{&with}
	r := newRenderer(Settings{}, nil)
	old := r.shapes(free, "")
	old.Limits = false
	n := newNames(newBindings())
	if cause := r.reloadCause(old, n, want, plan.Diff(free, want)); !strings.Contains(cause, "limit") {
		t.Errorf("the first limit: cause %q", cause)
	}
	if cause := r.reloadCause(old, n, free, plan.Diff(model.State{}, free)); strings.Contains(cause, "limit") {
		t.Errorf("no limit: cause %q", cause)
	}
	if cause := r.reloadCause(r.shapes(free, ""), n, want, plan.Diff(free, want)); cause != "" {
		t.Errorf("with the rules: cause %q", cause)
	}
}

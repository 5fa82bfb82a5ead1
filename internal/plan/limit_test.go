package plan_test

import (
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// A limit that comes, changes or goes is a change, and says which.
func TestLimitChanges(t *testing.T) {
	with := func(l model.Limit) model.State {
		return model.State{Routes: []*model.Route{{Name: "r", Listener: "main/http", Limit: l}}}
	}
	both := model.Limit{Rate: 20, Connections: 10}
	for _, c := range []struct {
		have, want model.Limit
		text       string
	}{
		{model.Limit{}, model.Limit{Rate: 20}, "each client no limit => 20/s"},
		{model.Limit{Rate: 20}, both, "each client 20/s => 20/s, 10 at a time"},
		{both, model.Limit{}, "each client 20/s, 10 at a time => no limit"},
		{both, both, ""},
	} {
		got := plan.Diff(with(c.have), with(c.want)).String()
		if !strings.Contains(got, c.text) || c.text == "" && got != "" {
			t.Errorf("%+v to %+v: got %q, want %q", c.have, c.want, got, c.text)
		}
	}
	if got := plan.Diff(model.State{}, with(both)).String(); !strings.Contains(got, "each client 20/s, 10 at a time") {
		t.Errorf("a new one: %q", got)
	}
}

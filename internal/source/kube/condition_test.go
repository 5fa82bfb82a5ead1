package kube

import (
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
)

// TestCondition says each thing once.
func TestCondition(t *testing.T) {
	outcome := &model.Outcome{Ports: []model.PortOutcome{{Port: 25, Error: "PortConflict"}, {Port: 587, Error: "PortHeld"}}}
	for name, c := range map[string]struct {
		findings     []model.Finding
		reason, text string
	}{
		"told by nobody": {nil, "NotServed", "Not served. port 25: PortConflict; port 587: PortHeld"},
		"one is told": {
			[]model.Finding{{Field: "port 25", Reason: "PortConflict", Message: "port 25 of VIP main belongs to web/mail"}},
			"PortConflict", "Not served. port 25 of VIP main belongs to web/mail; port 587: PortHeld",
		},
		"a place of its own": {
			[]model.Finding{{Field: "spec.ports[0]", Reason: "PortHeld", Message: "spec.ports is wrong"}},
			"PortHeld", "Not served. spec.ports[0]: spec.ports is wrong; port 25: PortConflict",
		},
	} {
		got := exposedCondition(&told{}, outcome, c.findings)
		if got.reason != c.reason || got.message != c.text || got.status != "False" {
			t.Errorf("%s: %s: %s", name, got.reason, got.message)
		}
	}
}

package agent

import (
	"fmt"
	"strings"

	"github.com/landfall-edge/landfall/internal/plan"
)

// described is how many objects a change names before it only counts.
const described = 3

// describe says in short what p changes, object by object: "web/shop: endpoint
// 10.0.0.1:8080 added".
func describe(p plan.Plan) string {
	news := p.News()
	if len(news) == 0 {
		return "the engine's own settings"
	}
	var words []string
	for _, n := range news[:min(described, len(news))] {
		words = append(words, n.String())
	}
	text := strings.Join(words, "; ")
	switch more := len(news) - described; {
	case more == 1:
		text += " and 1 more object"
	case more > 1:
		text += fmt.Sprintf(" and %d more objects", more)
	}
	return text
}

package plan

import (
	"fmt"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// limitText is what a route allows each client: "20/s, 10 at a time", or "no limit".
func limitText(l model.Limit) string {
	var parts []string
	if l.Rate != 0 {
		parts = append(parts, fmt.Sprintf("%d/s", l.Rate))
	}
	if l.Connections != 0 {
		parts = append(parts, fmt.Sprintf("%d at a time", l.Connections))
	}
	if len(parts) == 0 {
		return "no limit"
	}
	return strings.Join(parts, ", ")
}

package status

import (
	"strings"
	"time"
)

// registrations shows who has called, and for how long it counts.
func (p *page) registrations(s Status) {
	if len(s.Registrations) == 0 {
		return
	}
	p.title("registrations", len(s.Registrations))
	var rows [][]cell
	for _, r := range s.Registrations {
		state := cell{r.State, green}
		if r.State != "live" {
			state.paint = yellow
		}
		lease := "never expires"
		if r.LeaseLeftSeconds != nil {
			lease = span(seconds(*r.LeaseLeftSeconds)) + " left"
		}
		rows = append(rows, []cell{
			{r.Client + "/" + r.Name, plain},
			{r.Address.String(), plain},
			state,
			{"for " + span(seconds(r.AgeSeconds)), faint},
			{lease, faint},
			{strings.Join(r.Ports, ", "), plain},
		})
	}
	p.table(2, rows)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

package app

import (
	"time"

	"github.com/landfall-edge/landfall/internal/source/phonehome"
	"github.com/landfall-edge/landfall/internal/status"
)

// registrations are those of all phone-home sources, as the status shows them.
func registrations(now time.Time, sources []*phonehome.Source) []status.Registration {
	out := []status.Registration{}
	for _, s := range sources {
		for _, r := range s.Registrations() {
			one := status.Registration{
				Source: s.Name(), Client: r.Client, Name: r.Name, Address: r.Address, From: r.From, State: string(r.State),
				Ports: []string{}, Created: r.Added, LastCall: r.Seen, AgeSeconds: now.Sub(r.Added).Seconds(),
			}
			for _, p := range r.Ports {
				one.Ports = append(one.Ports, phonehome.PortText(p))
			}
			if !r.Expires.IsZero() {
				left := max(r.Expires.Sub(now).Seconds(), 0)
				one.LeaseSeconds, one.LeaseLeftSeconds = r.Lease.Seconds(), &left
			}
			out = append(out, one)
		}
	}
	return out
}

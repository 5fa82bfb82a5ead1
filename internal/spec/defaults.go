package spec

import "time"

// The defaults of a file that says nothing else.
const (
	defaultStateDir      = "/var/lib/landfall"
	defaultVIP           = "main"
	defaultManifests     = "/etc/landfall/manifests"
	defaultBinary        = "haproxy"
	defaultSpareBackends = 64
	defaultSocket        = "/run/landfall/admin.sock"
	defaultListen        = "127.0.0.1:9180"
	defaultPhoneListen   = ":9443"
	defaultBalance       = "roundrobin"
	defaultProbePort     = 10256
	defaultProbePath     = "/healthz"
	defaultGuardShare    = 33 // percent
	defaultGuardAtLeast  = 10
	defaultGuardConfirm  = 15 * time.Minute
)

func defaults() *Edge {
	return &Edge{
		VIPs:     []VIP{{Name: defaultVIP}},
		StateDir: defaultStateDir,
		HTTP:     Front{Port: 80},
		HTTPS:    Front{Port: 443},
		Guard:    Guard{Share: defaultGuardShare, AtLeast: defaultGuardAtLeast, Confirm: Duration{defaultGuardConfirm}},
		HAProxy:  HAProxy{Binary: defaultBinary, SpareBackends: defaultSpareBackends},
		Admin:    Admin{Socket: defaultSocket, Listen: defaultListen},
	}
}

func defaultObjects(reach Reach) Objects {
	return Objects{
		Expose: ExposeMarked,
		Reach:  reach,
		Probe:  &Probe{Port: defaultProbePort, Path: defaultProbePath},
	}
}

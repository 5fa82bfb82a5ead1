package haproxy

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// ErrMissing means that there is no HAProxy to run.
var ErrMissing = errors.New("HAProxy is not installed")

// ErrTooOld means that HAProxy cannot do what Landfall needs.
var ErrTooOld = errors.New("HAProxy is too old")

// ErrSocketPath means that a socket's path is longer than the kernel allows.
var ErrSocketPath = errors.New("socket path is too long")

// Features are what differs between the HAProxy versions and builds that are
// supported (2.6 to 3.2, and as far as was tried 3.4). It is the only place that looks at a version.
type Features struct {
	Version      string // "2.6.12-1+deb12u4"
	Major, Minor int
	Prometheus   bool // the exporter is built in
}

// MovesChecks reports whether the address of a check can be changed at run time:
// 3.4 refuses every one (seen in 3.4.7).
func (f Features) MovesChecks() bool { return f.Major < 3 || f.Major == 3 && f.Minor < 4 }

var versionLine = regexp.MustCompile(`(?m)^HA-?Proxy version (([0-9]+)\.([0-9]+)\S*)`)

// ParseFeatures reads the output of "haproxy -vv".
func ParseFeatures(vv string) (Features, error) {
	m := versionLine.FindStringSubmatch(vv)
	if m == nil {
		return Features{}, errors.New("parse haproxy -vv: no version line")
	}
	f := Features{Version: m[1]}
	f.Major, _ = strconv.Atoi(m[2])
	f.Minor, _ = strconv.Atoi(m[3])
	if f.Major < 2 || f.Major == 2 && f.Minor < 6 {
		return f, fmt.Errorf("%w: it is version %s, and 2.6 or newer is needed", ErrTooOld, f.Version)
	}
	f.Prometheus = strings.Contains(vv, "Built with the Prometheus exporter")
	return f, nil
}

// Detect asks the binary what it can do.
func Detect(ctx context.Context, binary string) (Features, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return Features{}, fmt.Errorf("%w: no program %q found; install it (apt-get install haproxy) "+
			"or name it under haproxy.binary in the edge's file", ErrMissing, binary)
	}
	out, err := exec.CommandContext(ctx, path, "-vv").CombinedOutput()
	if err != nil {
		return Features{}, fmt.Errorf("run %s -vv: %w", path, err)
	}
	return ParseFeatures(string(out))
}

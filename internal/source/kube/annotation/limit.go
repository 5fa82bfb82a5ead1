package annotation

import (
	"strconv"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// MostLimit is the highest limit: what counts up to it fits into HAProxy's 32 bits.
const MostLimit = 100_000

// ReadLimit reads LimitRPS and LimitConnections; a bad value counts as none.
func ReadLimit(annotations map[string]string, f *object.Findings) model.Limit {
	return model.Limit{
		Rate: readLimit(annotations, LimitRPS, f,
			`"20" for 20 requests (on a TCP port: connections) of each client address in a second`),
		Connections: readLimit(annotations, LimitConnections, f,
			`"10" for 10 requests (on a TCP port: connections) of each client address at a time`),
	}
}

func readLimit(annotations map[string]string, name string, f *object.Findings, example string) int {
	v, there := annotations[name]
	if !there {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n == 0 || n > MostLimit {
		f.Add(object.AnnotationField(name), "BadAnnotation", "everything, without this limit",
			object.Quote(v)+" is no limit; write a whole number from 1 to "+strconv.Itoa(MostLimit)+", such as "+example)
		return 0
	}
	return int(n)
}

// NoteIdleLimit is about a Service that no port is opened for: its limits would
// count there, and not on what an Ingress sends to it.
func NoteIdleLimit(annotations map[string]string, f *object.Findings) {
	for _, name := range []string{LimitConnections, LimitRPS} {
		if _, there := annotations[name]; there {
			f.Add(object.AnnotationField(name), "LimitWithoutPort", "everything, without this limit",
				name+" on a Service counts on the ports that an edge opens for it, and it opens none; "+
					"to limit what comes through an Ingress, write it on the Ingress")
		}
	}
}

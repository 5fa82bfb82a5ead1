// Package service translates Services that are exposed by themselves: of type
// LoadBalancer, or NodePort. It is pure.
package service

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/endpoints"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// Options are what a source exposes.
type Options struct {
	Source string
	// AllNodePorts exposes every Service of type NodePort, marked or not.
	AllNodePorts bool
	// Unclassed exposes LoadBalancer Services without a class.
	Unclassed bool
	// Pods reaches pods by their own addresses, so that no node port is needed.
	Pods bool
}

// Result is what one Service asks for.
type Result struct {
	// Part is nil if it asks for nothing and there is nothing to say.
	Part *model.Part
	// Ports of the Service that are served by TCP, sorted.
	Ports []int32
}

// Translate reads one Service.
func Translate(svc *corev1.Service, opt Options) Result {
	key := object.KeyOf(svc)
	origin := object.Origin(opt.Source, object.Service, key, svc)
	f := object.NewFindings(origin)
	annotation.Check(object.Service, svc.Annotations, f)
	annotation.ReadPolicy(svc.Annotations, f) // for its findings: backends read it again

	if !exposed(svc, opt, f) {
		annotation.NoteIdleLimit(svc.Annotations, f)
		if len(f.List()) == 0 {
			return Result{}
		}
		return Result{Part: &model.Part{Origin: origin, Findings: f.List()}}
	}
	part := &model.Part{Origin: origin, Report: true}
	result := Result{Part: part}
	noteIgnored(svc, f)
	vip, vipOK := annotation.ReadVIP(svc.Annotations, f)
	ranges, rangesOK := sourceRanges(svc, f)
	limit := annotation.ReadLimit(svc.Annotations, f)
	fronts := fronts(svc, f)
	if vipOK && rangesOK {
		for _, front := range reachable(key, svc, fronts, opt, f) {
			name := fmt.Sprintf("%s/%s/%d", opt.Source, key, front.port)
			part.Listeners = append(part.Listeners, &model.Listener{
				Name: name, Origin: origin, VIP: vip, Port: front.port, Protocol: model.TCP, SourceRanges: ranges,
			})
			part.Routes = append(part.Routes, &model.Route{
				Name: name, Origin: origin, Listener: name, Limit: limit,
				Backends: []model.WeightedBackend{{Name: BackendName(opt.Source, key, front.service.Port), Weight: 1}},
			})
			result.Ports = append(result.Ports, front.service.Port)
		}
	}
	slices.SortFunc(part.Listeners, func(a, b *model.Listener) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(part.Routes, func(a, b *model.Route) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(result.Ports)
	result.Ports = slices.Compact(result.Ports)
	if part.Findings = f.List(); len(part.Listeners) == 0 {
		part.Findings = f.ListUnserved()
	}
	return result
}

// BackendName is the name of the Backend of a Service's port when it is served by
// TCP.
func BackendName(source string, key object.Key, port int32) string {
	return source + "/" + key.Namespace + "/" + key.Name + "/" + strconv.Itoa(int(port))
}

// reachable leaves out the front ports that no way leads to, with a finding each.
func reachable(key object.Key, svc *corev1.Service, fronts []front, opt Options, f *object.Findings) []front {
	var out []front
	for _, front := range fronts {
		if o := endpoints.Find(key, svc, front.service, opt.Pods); o.Reason != "" {
			f.Add(o.Field, o.Reason, "its other ports", o.Message)
			continue
		}
		out = append(out, front)
	}
	return out
}

// defaultAffinity is what Kubernetes takes when a Service does not say.
const defaultAffinity = time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second

// Affinity is how long a client stays on one endpoint of the Service, 0 for not at
// all.
func Affinity(svc *corev1.Service) time.Duration {
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	c := svc.Spec.SessionAffinityConfig
	if c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil || !affinityFits(*c.ClientIP.TimeoutSeconds) {
		return defaultAffinity
	}
	return time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
}

// affinityFits is the API server's own limit, a day.
func affinityFits(seconds int32) bool {
	return seconds > 0 && seconds <= 86400
}

// noteIgnored says what a Service asks for that is served otherwise.
func noteIgnored(svc *corev1.Service, f *object.Findings) {
	if svc.Spec.LoadBalancerIP != "" {
		f.Add("spec.loadBalancerIP", "FieldNotRead", "everything, on the VIP that "+annotation.VIP+" names, or the first one",
			"loadBalancerIP is not read (Kubernetes gave it up); name the VIP by the annotation "+annotation.VIP+`, for example "main"`)
	}
	switch a := svc.Spec.SessionAffinity; a {
	case "", corev1.ServiceAffinityNone:
	case corev1.ServiceAffinityClientIP:
		if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil && !affinityFits(*c.ClientIP.TimeoutSeconds) {
			f.Add("spec.sessionAffinityConfig.clientIP.timeoutSeconds", "BadAffinity", "everything, with an affinity of 10800 seconds",
				fmt.Sprintf("%d is no timeout; write 1 to 86400 seconds", *c.ClientIP.TimeoutSeconds))
		}
	default:
		f.Add("spec.sessionAffinity", "BadAffinity", "everything, without affinity",
			object.Quote(string(a))+" is not a session affinity; write ClientIP or None")
	}
}

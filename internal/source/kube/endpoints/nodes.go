package endpoints

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// What keeps a node from new connections, whether it is ready or not.
const (
	excludeLabel  = corev1.LabelNodeExcludeBalancers
	deletionTaint = "ToBeDeletedByClusterAutoscaler"
	outTaint      = corev1.TaintNodeOutOfService
)

// Node is a node as far as endpoints need it.
type Node struct {
	Name string
	// V4 and V6 are its first InternalIP of each family; one of them is valid.
	V4, V6   netip.Addr
	Draining bool
	// Probe is the name of the probe that it is judged by, or "".
	Probe string
}

// Nodes is all nodes judged together.
type Nodes struct {
	Nodes    []Node         // sorted by name
	Probes   []*model.Probe // sorted by name
	Findings []model.Finding
}

// candidate is a node while it is judged.
type candidate struct {
	Node
	object   *corev1.Node
	findings *object.Findings
	ready    bool
	// out is why it is kept out although it may be ready, with mend the command
	// that ends it.
	out, mend string
}

// Judge decides which nodes take new connections. A plain cordon is no reason not
// to: it is about pods to come.
func Judge(nodes []*corev1.Node, opt Options) Nodes {
	all := make([]*candidate, 0, len(nodes))
	for _, n := range nodes {
		all = append(all, examine(n, opt))
	}
	slices.SortFunc(all, func(a, b *candidate) int { return cmp.Compare(a.Name, b.Name) })
	whole := judgeTogether(all, opt)
	share(all)

	var out Nodes
	for _, c := range all {
		out.Findings = append(out.Findings, c.findings.List()...)
		if c.V4.IsValid() || c.V6.IsValid() {
			if opt.Probe.Path != "" {
				p := probe(c, opt)
				c.Probe = p.Name
				out.Probes = append(out.Probes, p)
			}
			out.Nodes = append(out.Nodes, c.Node)
		}
	}
	// The names of probes begin with the source, so their order is that of nodes.
	out.Findings = append(out.Findings, whole...)
	return out
}

// examine reads what one node says of itself.
func examine(n *corev1.Node, opt Options) *candidate {
	origin := object.Origin(opt.Source, object.Node, object.Key{Name: n.Name}, n)
	c := &candidate{Node: Node{Name: n.Name}, object: n, findings: object.NewFindings(origin)}
	for i, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			c.take(i, a.Address, opt)
		}
	}
	if !c.V4.IsValid() && !c.V6.IsValid() {
		c.findings.Add("status.addresses", "NoInternalIP", "",
			"the node has no usable address of type InternalIP, so nothing is sent to it; let its kubelet report one (--node-ip)")
	}
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			c.ready = cond.Status == corev1.ConditionTrue
		}
	}
	c.out, c.mend = outReason(n)
	return c
}

// take makes an InternalIP the node's own if it is the first of its family.
func (c *candidate) take(i int, address string, opt Options) {
	field := fmt.Sprintf("status.addresses[%d].address", i)
	addr, err := netip.ParseAddr(address)
	addr = addr.Unmap()
	why := ""
	if err != nil || addr.Zone() != "" {
		why = "it is not an IP address"
	} else {
		why = source.EndpointRefusal(addr, opt.AllowLoopback)
	}
	if why != "" {
		c.findings.Add(field, "AddressRefused", "its other addresses",
			"the node's InternalIP "+object.Quote(address)+" cannot be served: "+why)
		return
	}
	switch {
	case addr.Is4() && !c.V4.IsValid():
		c.V4 = addr
	case addr.Is6() && !c.V6.IsValid():
		c.V6 = addr
	}
}

// outReason says what on a node asks to keep it out, and how to end that.
func outReason(n *corev1.Node) (why, mend string) {
	if _, there := n.Labels[excludeLabel]; there {
		return "the label " + excludeLabel, fmt.Sprintf("kubectl label node %s %s-", n.Name, excludeLabel)
	}
	for _, t := range n.Spec.Taints {
		if t.Key == deletionTaint || t.Key == outTaint {
			return "the taint " + t.Key, fmt.Sprintf("kubectl taint node %s %s-", n.Name, t.Key)
		}
	}
	if n.DeletionTimestamp != nil {
		return "its deletion", ""
	}
	return "", ""
}

// judgeTogether sets who drains, and returns what is to be said of all nodes at
// once: when none is ready they stay, because the fault is more likely in what is
// said of them than in all of them.
func judgeTogether(all []*candidate, opt Options) []model.Finding {
	var usable, notReady, out []*candidate
	for _, c := range all {
		switch {
		case !c.V4.IsValid() && !c.V6.IsValid():
			continue
		case c.out != "":
			c.Draining = true
			out = append(out, c)
		case !c.ready:
			notReady = append(notReady, c)
		}
		usable = append(usable, c)
	}
	f := object.NewFindings(model.Origin{Source: opt.Source})
	switch {
	case len(usable) == 0:
	case len(out) == len(usable):
		noteAllOut(out)
	case len(out)+len(notReady) == len(usable):
		f.Add("", "AllNodesNotReady", "all of them, as if they were ready", fmt.Sprintf(
			"no node is Ready (%s), so they are served all the same; see kubectl get nodes", names(notReady)))
	default:
		for _, c := range notReady {
			c.Draining = true
		}
	}
	return f.List()
}

// noteAllOut says on the first node how to get one back.
func noteAllOut(out []*candidate) {
	first := out[0]
	for _, c := range out {
		if c.mend != "" {
			first = c
			break
		}
	}
	field, do := "metadata.deletionTimestamp", "wait for another node"
	if first.mend != "" {
		field, do = "spec.taints", first.mend
		if strings.HasPrefix(first.out, "the label") {
			field = "metadata.labels"
		}
	}
	first.findings.Add(field, "AllNodesOut", "connections that are open", fmt.Sprintf(
		"no node takes new connections: all of them (%s) are kept out, this one by %s; to serve from it: %s",
		names(out), first.out, do))
}

// names lists a few nodes.
func names(nodes []*candidate) string {
	const named = 5
	var s []string
	for _, c := range nodes[:min(named, len(nodes))] {
		s = append(s, c.Name)
	}
	if more := len(nodes) - named; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(s, ", "), more)
	}
	return strings.Join(s, ", ")
}

// share takes an address away from all but one of the nodes that claim it. One
// that takes connections keeps it, since the other may be a machine replaced.
func share(all []*candidate) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *candidate) int {
		switch {
		case a.Draining == b.Draining && a.ready == b.ready:
			return 0
		case !a.Draining && b.Draining, a.Draining == b.Draining && a.ready:
			return -1
		}
		return 1
	})
	owner := make(map[netip.Addr]string, len(all))
	for _, c := range order {
		for _, a := range []*netip.Addr{&c.V4, &c.V6} {
			if !a.IsValid() {
				continue
			}
			if other, taken := owner[*a]; taken {
				c.findings.Add("status.addresses", "AddressShared", "the address, as that of node "+other, fmt.Sprintf(
					"the node's InternalIP %s is also that of node %s; if this machine was replaced, remove what is left of it: kubectl delete node %s", *a, other, c.Name))
				*a = netip.Addr{}
				continue
			}
			owner[*a] = c.Name
		}
	}
}

// probe is what judges a node.
func probe(c *candidate, opt Options) *model.Probe {
	addr := c.V4
	if !addr.IsValid() {
		addr = c.V6
	}
	return &model.Probe{
		Name:   opt.Source + "/" + c.Name,
		Origin: object.Origin(opt.Source, object.Node, object.Key{Name: c.Name}, c.object),
		// One probe for both families: it asks the machine, not an address.
		Address: addr, Port: opt.Probe.Port, Path: opt.Probe.Path,
	}
}

package admit

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The API server's own limits of an EndpointSlice.
const (
	maxEndpoints = 1000
	maxAddresses = 100
	maxPorts     = 20000
)

func checkSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	if s.AddressType == "" {
		return field.ErrorList{field.Required(field.NewPath("addressType"), "write addressType: IPv4, or IPv6")}
	}
	errs := among(field.NewPath("addressType"), s.AddressType,
		discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	errs = append(errs, checkSlicePorts(s.Ports)...)
	path := field.NewPath("endpoints")
	if len(s.Endpoints) > maxEndpoints {
		return append(errs, field.TooMany(path, len(s.Endpoints), maxEndpoints))
	}
	for i := range s.Endpoints {
		e, at := &s.Endpoints[i], path.Index(i)
		addresses := at.Child("addresses")
		switch {
		case len(e.Addresses) == 0:
			errs = append(errs, field.Required(addresses, "an endpoint needs an address"))
		case len(e.Addresses) > maxAddresses:
			errs = append(errs, field.TooMany(addresses, len(e.Addresses), maxAddresses))
			continue
		}
		for j, a := range e.Addresses {
			errs = append(errs, checkAddress(addresses.Index(j), a, s.AddressType)...)
		}
		if e.NodeName != nil {
			errs = append(errs, one(at.Child("nodeName"), *e.NodeName, validation.IsDNS1123Subdomain(*e.NodeName))...)
		}
		if e.Hostname != nil {
			errs = append(errs, one(at.Child("hostname"), *e.Hostname, validation.IsDNS1123Label(*e.Hostname))...)
		}
	}
	return errs
}

// checkAddress checks the form only: which addresses may be used is for the edge
// to say, which may allow what an API server does not.
func checkAddress(path *field.Path, address string, kind discoveryv1.AddressType) field.ErrorList {
	if kind == discoveryv1.AddressTypeFQDN {
		return validation.IsFullyQualifiedDomainName(path, address)
	}
	if errs := validation.IsValidIP(path, address); len(errs) > 0 {
		return errs
	}
	if a, err := netip.ParseAddr(address); err != nil || a.Is4() != (kind == discoveryv1.AddressTypeIPv4) {
		return field.ErrorList{field.Invalid(path, address, "must be an "+string(kind)+" address, as addressType says")}
	}
	return nil
}

func checkSlicePorts(ports []discoveryv1.EndpointPort) field.ErrorList {
	path := field.NewPath("ports")
	if len(ports) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxPorts)}
	}
	var errs field.ErrorList
	names := make(map[string]bool, len(ports))
	for i := range ports {
		p, at := &ports[i], path.Index(i)
		if *p.Name != "" {
			errs = append(errs, one(at.Child("name"), *p.Name, validation.IsDNS1123Label(*p.Name))...)
		}
		if names[*p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), *p.Name))
		}
		names[*p.Name] = true
		errs = append(errs, among(at.Child("protocol"), *p.Protocol, protocols()...)...)
		if p.AppProtocol != nil {
			errs = append(errs, one(at.Child("appProtocol"), *p.AppProtocol, validation.IsQualifiedName(*p.AppProtocol))...)
		}
	}
	return errs
}

func checkEndpoints(e *corev1.Endpoints) field.ErrorList { //nolint:staticcheck // folders hold them
	var errs field.ErrorList
	for i := range e.Subsets {
		s, at := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(at.Child("addresses"), "a subset needs addresses, or notReadyAddresses"))
		}
		errs = append(errs, checkEndpointAddresses(s.Addresses, at.Child("addresses"))...)
		errs = append(errs, checkEndpointAddresses(s.NotReadyAddresses, at.Child("notReadyAddresses"))...)
		for j := range s.Ports {
			p, at := &s.Ports[j], at.Child("ports").Index(j)
			if p.Name != "" {
				errs = append(errs, one(at.Child("name"), p.Name, validation.IsDNS1123Label(p.Name))...)
			} else if len(s.Ports) > 1 {
				errs = append(errs, field.Required(at.Child("name"), "each port needs one where there are several"))
			}
			errs = append(errs, one(at.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
			errs = append(errs, among(at.Child("protocol"), p.Protocol, protocols()...)...)
		}
	}
	return errs
}

func checkEndpointAddresses(addresses []corev1.EndpointAddress, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range addresses {
		a, at := &addresses[i], path.Index(i)
		errs = append(errs, validation.IsValidIP(at.Child("ip"), a.IP)...)
		if a.NodeName != nil {
			errs = append(errs, one(at.Child("nodeName"), *a.NodeName, validation.IsDNS1123Subdomain(*a.NodeName))...)
		}
	}
	return errs
}

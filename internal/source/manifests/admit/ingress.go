package admit

import (
	"net/netip"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// classAnnotation named an Ingress's class before spec.ingressClassName did.
const classAnnotation = "kubernetes.io/ingress.class"

func checkIngress(ing *networkingv1.Ingress) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if len(ing.Spec.Rules) == 0 && ing.Spec.DefaultBackend == nil {
		errs = append(errs, field.Required(spec.Child("rules"), "an Ingress needs rules, or a defaultBackend"))
	}
	if b := ing.Spec.DefaultBackend; b != nil {
		errs = append(errs, checkBackend(b, spec.Child("defaultBackend"))...)
	}
	for i := range ing.Spec.Rules {
		r, at := &ing.Spec.Rules[i], spec.Child("rules").Index(i)
		errs = append(errs, checkHost(at.Child("host"), r.Host)...)
		if r.HTTP == nil {
			continue
		}
		if len(r.HTTP.Paths) == 0 {
			errs = append(errs, field.Required(at.Child("http", "paths"), "http needs at least one path"))
		}
		for j := range r.HTTP.Paths {
			errs = append(errs, checkPath(&r.HTTP.Paths[j], at.Child("http", "paths").Index(j))...)
		}
	}
	for i, tls := range ing.Spec.TLS {
		at := spec.Child("tls").Index(i)
		for j, host := range tls.Hosts {
			errs = append(errs, one(at.Child("hosts").Index(j), host, hostProblems(host))...)
		}
		if tls.SecretName != "" {
			errs = append(errs, one(at.Child("secretName"), tls.SecretName, validation.IsDNS1123Subdomain(tls.SecretName))...)
		}
	}
	return append(errs, checkClassName(ing, spec)...)
}

func checkClassName(ing *networkingv1.Ingress, spec *field.Path) field.ErrorList {
	class := ing.Spec.IngressClassName
	if class == nil {
		return nil
	}
	errs := one(spec.Child("ingressClassName"), *class, validation.IsDNS1123Subdomain(*class))
	if old, ok := ing.Annotations[classAnnotation]; ok && old != *class {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations").Key(classAnnotation), old,
			"must be the same as spec.ingressClassName where both are given; take the annotation away"))
	}
	return errs
}

func hostProblems(host string) []string {
	if strings.Contains(host, "*") {
		return validation.IsWildcardDNS1123Subdomain(host)
	}
	return validation.IsDNS1123Subdomain(host)
}

func checkHost(path *field.Path, host string) field.ErrorList {
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return field.ErrorList{field.Invalid(path, host, "must be a name in DNS, not an address")}
	}
	return one(path, host, hostProblems(host))
}

func checkPath(p *networkingv1.HTTPIngressPath, at *field.Path) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{field.Required(at.Child("pathType"), "write pathType: Prefix, or Exact")}
	}
	errs := among(at.Child("pathType"), *p.PathType,
		networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific)
	path, strict := at.Child("path"), *p.PathType != networkingv1.PathTypeImplementationSpecific
	if !strings.HasPrefix(p.Path, "/") && (strict || p.Path != "") {
		errs = append(errs, field.Invalid(path, p.Path, `must begin with "/"`))
	}
	if strict {
		errs = append(errs, checkPathText(path, p.Path)...)
	}
	return append(errs, checkBackend(&p.Backend, at.Child("backend"))...)
}

// checkPathText refuses what clients or servers on the way would rewrite.
func checkPathText(path *field.Path, text string) field.ErrorList {
	for _, s := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(text, s) {
			return field.ErrorList{field.Invalid(path, text, `must not contain "`+s+`"`)}
		}
	}
	for _, s := range []string{"/..", "/."} {
		if strings.HasSuffix(text, s) {
			return field.ErrorList{field.Invalid(path, text, `must not end with "`+s+`"`)}
		}
	}
	return nil
}

func checkBackend(b *networkingv1.IngressBackend, at *field.Path) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Forbidden(at.Child("resource"), "a backend is a service or a resource, not both")}
	case b.Resource != nil:
		return checkResource(b, at.Child("resource"))
	case b.Service == nil:
		return field.ErrorList{field.Required(at.Child("service"), "a backend needs a service, for example service: {name: shop, port: {number: 80}}")}
	}
	at = at.Child("service")
	s := b.Service
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	} else {
		errs = append(errs, one(at.Child("name"), s.Name, validation.IsDNS1123Label(s.Name))...)
	}
	port := at.Child("port")
	switch {
	case s.Port.Name != "" && s.Port.Number != 0:
		return append(errs, field.Forbidden(port.Child("name"), "a port has a name or a number here, not both"))
	case s.Port.Name != "":
		return append(errs, one(port.Child("name"), s.Port.Name, validation.IsValidPortName(s.Port.Name))...)
	case s.Port.Number != 0:
		return append(errs, one(port.Child("number"), s.Port.Number, validation.IsValidPortNum(int(s.Port.Number)))...)
	}
	return append(errs, field.Required(port, "write port: {number: 80}, or port: {name: http}"))
}

func checkResource(b *networkingv1.IngressBackend, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if b.Resource.Kind == "" {
		errs = append(errs, field.Required(at.Child("kind"), ""))
	}
	if b.Resource.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	if g := b.Resource.APIGroup; g != nil {
		errs = append(errs, one(at.Child("apiGroup"), *g, validation.IsDNS1123Subdomain(*g))...)
	}
	return errs
}

func checkClass(c *networkingv1.IngressClass) field.ErrorList {
	path := field.NewPath("spec", "controller")
	const longest = 250
	if c.Spec.Controller == "" {
		return field.ErrorList{field.Required(path, "an edge's is landfall.dev/edge")}
	}
	if len(c.Spec.Controller) > longest {
		return field.ErrorList{field.TooLong(path, "", longest)}
	}
	return append(validation.IsDomainPrefixedPath(path, c.Spec.Controller), checkParameters(c.Spec.Parameters)...)
}

// checkParameters checks what nobody here reads, so that a class counts exactly
// where it would count in a cluster.
func checkParameters(p *networkingv1.IngressClassParametersReference) field.ErrorList {
	if p == nil {
		return nil
	}
	path := field.NewPath("spec", "parameters")
	var errs field.ErrorList
	if p.Kind == "" {
		errs = append(errs, field.Required(path.Child("kind"), ""))
	}
	if p.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	if g := p.APIGroup; g != nil {
		errs = append(errs, one(path.Child("apiGroup"), *g, validation.IsDNS1123Subdomain(*g))...)
	}
	const cluster, namespace = networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace
	errs = append(errs, among(path.Child("scope"), *p.Scope, cluster, namespace)...)
	switch {
	case *p.Scope == cluster && p.Namespace != nil:
		errs = append(errs, field.Forbidden(path.Child("namespace"), "it goes with scope: Namespace only"))
	case *p.Scope == namespace && p.Namespace == nil:
		errs = append(errs, field.Required(path.Child("namespace"), "scope: Namespace needs one"))
	case p.Namespace != nil:
		errs = append(errs, one(path.Child("namespace"), *p.Namespace, validation.IsDNS1123Label(*p.Namespace))...)
	}
	return errs
}

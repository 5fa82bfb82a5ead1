package app

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/file"
	"github.com/landfall-edge/landfall/internal/source/kube"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests"
	"github.com/landfall-edge/landfall/internal/source/phonehome"
	"github.com/landfall-edge/landfall/internal/source/phonehome/auth"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
	"github.com/landfall-edge/landfall/internal/spec"
)

// grace is how long a start waits for the sources' first answers.
const grace = 5 * time.Second

// newSources makes every source of the file that want takes, in its order.
func newSources(edge *spec.Edge, o Options, want func(spec.Source) bool) ([]source.Source, error) {
	var out []source.Source
	for _, s := range edge.Sources {
		if !want(s) {
			continue
		}
		made, err := newSource(edge, s, o)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		out = append(out, made)
	}
	return out, nil
}

func newSource(edge *spec.Edge, s spec.Source, o Options) (source.Source, error) {
	switch {
	case s.Kubernetes != nil:
		return kube.New(kube.Config{
			Name: s.Name, Kubeconfig: s.Kubernetes.Kubeconfig, Options: objects(s.Name, s.Kubernetes.Objects),
			Edge: edge.Name, Version: o.Version, Logger: o.Log,
		})
	case s.Manifests != nil:
		return manifests.New(manifests.Config{
			Name: s.Name, Path: s.Manifests.Path, Options: objects(s.Name, s.Manifests.Objects), Logger: o.Log,
		})
	case s.PhoneHome != nil:
		return phonehome.New(phoneHome(edge, s, o))
	default:
		return file.New(s.Name, s.Services), nil
	}
}

// phoneHome is the file's words in the source's.
func phoneHome(edge *spec.Edge, s spec.Source, o Options) phonehome.Config {
	c := phonehome.Config{
		Name: s.Name, Listen: s.PhoneHome.Listen, StateFile: filepath.Join(edge.StateDir, phoneHomeDir, s.Name+".jsonl"),
		HTTPPort: edge.HTTP.Port, HTTPSPort: edge.HTTPS.Port, Passive: o.passive, Getenv: os.Getenv, Logger: o.Log,
	}
	if tls := s.PhoneHome.TLS; tls != nil {
		c.CertFile, c.KeyFile = tls.CertFile, tls.KeyFile
	}
	for _, client := range s.PhoneHome.Clients {
		out := phonehome.Client{
			Client:    auth.Client{Name: client.Name, SHA256: client.TokenSHA256, File: client.TokenFile, Env: client.TokenEnv},
			Allowance: registry.Allowance{Hosts: client.Hosts, Destinations: client.Destinations},
		}
		for _, p := range client.Ports {
			out.Ports = append(out.Ports, registry.Range{First: p.First, Last: p.Last})
		}
		if a := client.ServiceAccount; a != nil {
			out.Account = &auth.Account{
				Issuer: a.Issuer, JWKSFile: a.JWKSFile, CAFile: a.CAFile,
				Audience: a.Audience, Namespace: a.Namespace, Name: a.Account,
			}
		}
		c.Clients = append(c.Clients, out)
	}
	return c
}

// objects are the file's words in the translators'.
func objects(name string, o spec.Objects) translate.Options {
	out := translate.Options{
		Source: name, Expose: translate.Expose(o.Expose), Unclassed: o.Unclassed,
		Reach: translate.Reach(o.Reach), AllowLoopback: o.AllowLoopback,
	}
	if o.Probe != nil {
		out.Probe = &translate.Probe{Port: o.Probe.Port, Path: o.Probe.Path}
	}
	return out
}

// newSet is the sources as one, with their last answers kept in dir, if any.
func newSet(sources []source.Source, dir string, wait time.Duration) (*source.Set, error) {
	return source.NewSet(source.SetConfig{Sources: sources, Dir: dir, Grace: wait, Now: time.Now})
}

func everySource(spec.Source) bool { return true }

package kube

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ErrKubeconfig is wrapped by every error of New about how to reach the API
// server: what the kubeconfig says, or that there is none and no pod either.
var ErrKubeconfig = errors.New("kubeconfig")

// ErrCredentials is wrapped by errors of Read while the API server refuses whoever
// the kubeconfig says that asks.
var ErrCredentials = errors.New("the API server does not accept the credentials")

// kubeconfigError is an error of a file, in words of its own.
type kubeconfigError struct {
	what  string
	cause error
}

func (e *kubeconfigError) Error() string {
	if e.cause == nil {
		return e.what
	}
	return e.what + ": " + e.cause.Error()
}

func (e *kubeconfigError) Unwrap() []error { return []error{ErrKubeconfig, e.cause} }

func refuse(cause error, format string, args ...any) error {
	return &kubeconfigError{what: fmt.Sprintf(format, args...), cause: cause}
}

// The credentials of one edge may write this often. Watches are not limited.
const (
	writesPerSecond = 100
	writeBurst      = 200
	eventsPerSecond = 5
	eventBurst      = 50
)

// clients are the connections to one API server: a client per group, which share
// one HTTP client, and two with limits of their own for what is written.
type clients struct {
	host                       string
	core, networking, discover *rest.RESTClient
	statusCore, statusNet      *rest.RESTClient
	events                     *rest.RESTClient
	params                     runtime.ParameterCodec
	// sum is what the kubeconfig held.
	sum [sha256.Size]byte
}

// connect reads the kubeconfig ("" means the Pod's own credentials) and makes
// clients of it, without asking the API server anything.
func connect(kubeconfig, userAgent string) (*clients, error) {
	var (
		config *rest.Config
		sum    [sha256.Size]byte
		err    error
	)
	if kubeconfig == "" {
		config, err = inCluster()
	} else {
		config, sum, err = readKubeconfig(kubeconfig)
	}
	if err != nil {
		return nil, err
	}
	config.UserAgent = userAgent
	config.QPS = -1
	config.Timeout = 0 // a watch lasts
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if config.Dial == nil {
		// An API server that dies with its machine closes no connection. The kernel
		// finds out sooner than HTTP/2 does.
		config.Dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
		}}).DialContext
	}
	c, err := newClients(config)
	if err != nil {
		where := kubeconfig
		if where == "" {
			where = "the service account of this Pod"
		}
		return nil, refuse(err, "use %s", where)
	}
	c.sum = sum
	return c, nil
}

func newClients(config *rest.Config) (*clients, error) {
	// Only the kinds that are read are registered: the whole scheme of client-go
	// costs megabytes.
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme, discoveryv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	shared, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &clients{params: runtime.NewParameterCodec(scheme), host: config.Host}
	for _, want := range []struct {
		client  **rest.RESTClient
		version schema.GroupVersion
		qps     float32
		burst   int
	}{
		{&c.core, corev1.SchemeGroupVersion, -1, 0},
		{&c.networking, networkingv1.SchemeGroupVersion, -1, 0},
		{&c.discover, discoveryv1.SchemeGroupVersion, -1, 0},
		{&c.statusCore, corev1.SchemeGroupVersion, writesPerSecond, writeBurst},
		{&c.statusNet, networkingv1.SchemeGroupVersion, writesPerSecond, writeBurst},
		{&c.events, corev1.SchemeGroupVersion, eventsPerSecond, eventBurst},
	} {
		if *want.client, err = newClient(config, shared, want.version, want.qps, want.burst); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func newClient(config *rest.Config, shared *http.Client, v schema.GroupVersion, qps float32, burst int) (*rest.RESTClient, error) {
	own := rest.CopyConfig(config)
	own.GroupVersion = &v
	own.APIPath = "/apis"
	if v.Group == "" {
		own.APIPath = "/api"
	}
	own.QPS, own.Burst = qps, burst
	return rest.RESTClientForConfigAndClient(own, shared)
}

func inCluster() (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	switch {
	case errors.Is(err, rest.ErrNotInCluster):
		return nil, refuse(nil, "no kubeconfig is given, and this is not a Pod of a cluster; "+
			"name a file under kubernetes: in the edge's file, for example kubeconfig: /etc/landfall/home.kubeconfig")
	case err != nil:
		return nil, refuse(err, "use the service account of this Pod (mount its token: automountServiceAccountToken: true)")
	}
	return config, nil
}

// readKubeconfig reads a file as kubectl would, but says more when it cannot.
func readKubeconfig(path string) (*rest.Config, [sha256.Size]byte, error) {
	var none [sha256.Size]byte
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, none, unreadable(path, err)
	}
	file, err := clientcmd.Load(content)
	if err != nil {
		return nil, none, refuse(err, "%s is not a kubeconfig; kubectl config view --kubeconfig %s --raw must show one", path, path)
	}
	if err := checkContext(path, file); err != nil {
		return nil, none, err
	}
	// Paths in it are relative to it.
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, none, refuse(err, "read kubeconfig %s", path)
	}
	for _, c := range file.Clusters {
		c.LocationOfOrigin = absolute
	}
	for _, u := range file.AuthInfos {
		u.LocationOfOrigin = absolute
	}
	if err := clientcmd.ResolveLocalPaths(file); err != nil {
		return nil, none, refuse(err, "read kubeconfig %s", path)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*file, "", &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, none, refuse(err, "kubeconfig %s cannot be used", path)
	}
	return config, sha256.Sum256(content), nil
}

func unreadable(path string, err error) error {
	var bare *fs.PathError
	if errors.As(err, &bare) {
		err = bare.Err // which does not repeat the path
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(err, "read kubeconfig %s (write one there, for example: kubectl config view --raw --minify > %s)", path, path)
	case errors.Is(err, fs.ErrPermission):
		return refuse(err, "read kubeconfig %s (let the user that runs landfall read it: chown it, and chmod 600)", path)
	}
	return refuse(err, "read kubeconfig %s", path)
}

// checkContext says what kubectl leaves to guess: without a current context
// client-go would go to localhost.
func checkContext(path string, file *clientcmdapi.Config) error {
	known := strings.Join(slices.Sorted(maps.Keys(file.Contexts)), ", ")
	switch {
	case len(file.Contexts) == 0:
		return refuse(nil, "kubeconfig %s has no contexts, so it names no cluster; write one that has, "+
			"for example: kubectl config view --raw --minify > %s", path, path)
	case file.CurrentContext == "":
		return refuse(nil, "kubeconfig %s has no current-context; choose one of its contexts (%s), for example: "+
			"kubectl config --kubeconfig %s use-context %s", path, known, path, slices.Sorted(maps.Keys(file.Contexts))[0])
	case file.Contexts[file.CurrentContext] == nil:
		return refuse(nil, "kubeconfig %s has no context %q, which is its current-context; it has %s: "+
			"kubectl config --kubeconfig %s use-context NAME", path, file.CurrentContext, known, path)
	}
	return nil
}

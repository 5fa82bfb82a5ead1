package archtest

// Patterns name packages by their path in the module: "internal/plan" is that
// package, "internal/engine/*" each directly below, "internal/engine/..." all
// below, at any depth, and not itself.

// rule says which packages of ours the packages of a pattern may import. The
// first rule that matches counts; a package without one fails the test.
type rule struct {
	from string
	may  []string
	why  string
}

// ground is what imports nothing of ours, so that everybody may import it.
func ground() []string {
	return []string{
		"internal/atomicfile", "internal/journal", "internal/lease", "internal/secret", "internal/ssh", "internal/systemd",
	}
}

// translators are the pure part of the Kubernetes sources.
func translators() []string {
	return []string{
		"internal/source/kube/annotation", "internal/source/kube/endpoints", "internal/source/kube/gateway",
		"internal/source/kube/ingress", "internal/source/kube/object", "internal/source/kube/service",
		"internal/source/kube/translate",
	}
}

// testSupport is imported by tests only.
func testSupport() []string {
	return []string{
		"internal/archtest", "internal/testgolden", "internal/testkube", "internal/testload", "internal/testneed", "internal/testnet", "internal/testwait",
		"internal/engine/enginetest", "internal/source/sourcetest", "internal/source/kube/translate/translatetest",
	}
}

// services are beside the flow from source to engine.
func services() []string {
	return []string{"internal/certs", "internal/signin", "internal/nfs", "internal/backup", "internal/install", "internal/phonehome"}
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// rules are the import directions, from the middle of the design outwards.
func rules() []rule {
	var all []rule
	each := func(from, may []string, why string) {
		for _, f := range from {
			all = append(all, rule{f, may, why})
		}
	}
	each([]string{"internal/archtest"}, nil, "it reads the tree and is part of nothing")
	each([]string{"internal/testgolden", "internal/testkube", "internal/testneed", "internal/testnet", "internal/testwait"}, []string{"internal/testneed"}, "what helps tests knows nothing of what is tested")
	each([]string{"internal/testload"}, []string{"internal/testneed", "internal/testnet", "internal/testwait"}, "what helps tests knows nothing of what is tested")
	each([]string{"internal/engine/enginetest"}, []string{"internal/engine", "internal/model", "internal/plan", "internal/testnet"}, "the suite knows the contract, no engine")
	each([]string{"internal/source/kube/translate/translatetest"}, join([]string{"internal/model", "internal/source"}, translators()), "it helps to test the translators")

	each([]string{"internal/model"}, nil, "its words belong to no source and no engine")
	each([]string{"internal/spec"}, nil, "the file is a user's language, the model is ours")
	each(ground(), nil, "the ground stands on nothing of ours")
	each([]string{"internal/desired", "internal/plan"}, []string{"internal/model"}, "it is pure: it knows what is asked for, neither who asks nor who serves")

	each([]string{"internal/source"}, join([]string{"internal/model"}, ground()), "the contract knows no source")
	each(translators(), join([]string{"internal/model", "internal/source"}, translators()), "a translator is pure: it gets a snapshot and knows neither where it came from nor who serves it")
	each([]string{"internal/source/file", "internal/source/file/..."}, join([]string{"internal/model", "internal/source", "internal/spec", "internal/source/file/..."}, ground()), "a source must not know who serves it, nor another source")
	each([]string{"internal/source/kube"}, join([]string{"internal/model", "internal/source"}, translators(), ground()), "a source must not know who serves it, nor another source")
	each([]string{"internal/source/manifests", "internal/source/manifests/..."}, join([]string{"internal/model", "internal/source", "internal/source/manifests/..."}, translators(), ground()), "a source must not know who serves it; the folder shares translators with the API, not the client")
	each([]string{"internal/source/phonehome", "internal/source/phonehome/..."}, join([]string{"internal/model", "internal/source", "internal/source/phonehome/..."}, ground()), "a source must not know who serves it, nor another source; its rooms are its own")
	each([]string{"internal/source/*", "internal/source/*/..."}, join([]string{"internal/model", "internal/source"}, ground()), "a source must not know who serves it, nor another source")

	each([]string{"internal/engine"}, []string{"internal/model", "internal/plan"}, "the contract knows no engine")
	for _, engine := range []string{"f5", "haproxy", "keepalived", "nftables"} {
		dir := "internal/engine/" + engine
		each([]string{dir, dir + "/..."}, join([]string{"internal/engine", "internal/model", "internal/plan", dir, dir + "/..."}, ground()), "an engine gets a finished state: no source, no desired, no spec, no other engine")
	}

	contracts := []string{"internal/desired", "internal/engine", "internal/model", "internal/plan", "internal/source", "internal/spec"}
	each([]string{"internal/status"}, contracts, "it tells what the contracts say, of whatever source and engine")
	each([]string{"internal/agent"}, join(contracts, []string{"internal/status"}, ground()), "the loop sees contracts, no source/x and no engine/x")
	each([]string{"internal/admin"}, join([]string{"internal/engine", "internal/model", "internal/plan", "internal/status"}, ground()), "the socket tells what it is handed, of whatever source and engine")
	each([]string{"internal/demo"}, join([]string{"internal/engine", "internal/model", "internal/plan"}, ground()), "it brings samples and tells of changes; an edge runs them like anybody's")
	each(services(), join([]string{"internal/model", "internal/spec"}, ground()), "a service stands beside the flow and beside the other services")

	each([]string{"internal/app", "internal/app/..."}, []string{"internal/..."}, "")
	each([]string{"cmd/...", "test/...", "e2e/..."}, []string{"internal/..."}, "")
	return all
}

// outside says who may import a module that is not ours.
type outside struct {
	module string // and everything below it
	may    []string
	why    string
}

func outsides() []outside {
	kube := join([]string{"internal/source/kube", "internal/testkube", "internal/source/kube/translate/translatetest"}, translators(), []string{"internal/source/manifests", "internal/source/manifests/..."})
	const home = "Kubernetes' types have one home, so that everything else stays free of them"
	return []outside{
		{"k8s.io/client-go", []string{"internal/source/kube", "internal/source/manifests", "internal/source/manifests/...", "internal/testkube", "internal/source/kube/translate/translatetest"}, "only the Kubernetes sources talk to an API server, and the translators are pure"},
		{"k8s.io", kube, home},
		{"sigs.k8s.io/controller-runtime", []string{"internal/testkube"}, "it starts API servers for tests; informers are client-go's"},
		{"sigs.k8s.io/gateway-api", kube, home},
		{"sigs.k8s.io/structured-merge-diff", kube, home},
		{"github.com/coreos/go-oidc", []string{"internal/source/phonehome/auth"}, "tokens of others are verified in one place"},
		{"github.com/go-jose/go-jose", []string{"internal/source/phonehome/..."}, "tokens of others are verified in one place"},
		{"github.com/spf13/cobra", []string{"cmd/..."}, "commands parse flags, nobody else does"},
		{"github.com/prometheus/client_golang", []string{"internal/admin", "internal/app", "internal/app/..."}, "metrics are told at the edge of the program, not inside"},
	}
}

// pure are the packages without I/O, clock and logger.
func pure() []string {
	manifests := []string{"internal/source/manifests/admit", "internal/source/manifests/parse"}
	phonehome := []string{"internal/source/phonehome/registry", "internal/source/phonehome/request"}
	return join([]string{"internal/model", "internal/spec", "internal/desired", "internal/plan"}, translators(), manifests, phonehome)
}

// standardOnly are the packages that need nothing but the standard library.
func standardOnly() []string {
	return []string{"internal/model", "internal/desired", "internal/plan"}
}

// impure are the standard packages that a pure one may not import.
func impure() []string {
	return []string{
		"context", "crypto/rand", "database/sql", "io/ioutil", "log", "log/slog", "log/syslog", "math/rand", "math/rand/v2",
		"net", "net/http", "net/rpc", "net/smtp", "net/textproto", "os", "os/exec", "os/signal", "os/user", "syscall",
	}
}

// clock are the functions of package time that look at it.
func clock() []string {
	return []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
}

// noNames are names that say nothing.
func noNames() []string {
	return []string{"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}
}

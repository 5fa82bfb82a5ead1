package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/phonehome"
)

// graceFor is how long taking back takes at most, well within the 30 s that
// Kubernetes gives a pod to end.
const (
	graceFor = 10 * time.Second
	maxGrace = 10 * time.Minute
)

func phoneHomeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "phone-home [add|delete]",
		Short: "Tell edges where this workload is",
		Long: `Runs beside a workload, in its pod or on its machine, and tells each edge: this
port of yours leads to that port of my machine. It tells them again before each
lease ends, at once when the token or the address of the machine changes, and takes
everything back at SIGTERM or SIGINT.

A port is FRONT=TARGET, where TARGET is a port of this machine and FRONT one of
  8443                          a TCP port of the edge
  http://shop.example.com/cart  a host, and a path or none, on its port for HTTP
  tls://vault.example.com       a name on its port for TLS, passed through unread
and options may follow: ,send-proxy=1|2 ,weight=1..256 ,check=tcp|/PATH

The address is that of --address, else of the environment's HOST_IP, else the one
that the edge sees. The token is in --token-file, which is read again and again.

An edge whose URL has /hooks/ in it is told in the form of older containers, and
their environment counts where flags say nothing: WEBHOOK, WEBHOOK_TOKEN, NAME,
FRONTEND_PORT, BACKEND_PORT, SEND_PROXY, REPEAT_INTERVAL (seconds, or once).

"add" is the default. "delete" takes back what was told, and ends.`,
		Example: `  landfall phone-home --edge https://edge-a:9443 --edge https://edge-b:9443 \
      --token-file /etc/landfall/token --name shop --port 8443=30843
  landfall phone-home --edge https://edge-a:9443 --token-file token --name shop \
      --port http://shop.example.com/=30080,check=/healthz --health :9099`,
	}
	var settings phonehome.Settings
	options := phonehome.Options{Version: version, Random: rand.Float64}
	flags := c.Flags()
	flags.StringArrayVar(&settings.Edges, "edge", nil, "`URL` of an edge's phone-home listener; several are told each on its own")
	flags.StringVar(&settings.Name, "name", "", "`NAME` of the registration; the same on every machine of one workload")
	flags.StringArrayVar(&settings.Ports, "port", nil, "what to announce, `FRONT=TARGET`, as above; may be repeated")
	flags.StringVar(&settings.Address, "address", "", "`IP` address of this machine")
	flags.StringVar(&settings.Interval, "interval", "", "`TIME` between two announcements, or once (default 30s)")
	flags.DurationVar(&settings.Lease, "lease", 0, "how long an announcement holds (default three times the interval)")
	flags.StringVar(&options.TokenFile, "token-file", "", "`FILE` with the token")
	flags.StringVar(&options.CAFile, "ca-file", "", "`FILE` with the only authorities that may have signed the edges' certificates")
	flags.StringVar(&options.Health, "health", "", "`ADDRESS:PORT` where /healthz and /livez answer; nowhere if not given")
	flags.DurationVar(&options.Grace, "grace", graceFor, "how long taking back may take at the end")
	flags.BoolVar(&options.Keep, "keep", false, "take nothing back at the end: each lease ends by itself")
	log := withLog(c, "info")
	c.Args, c.ValidArgs = cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs), []string{"add", "delete"}
	c.RunE = func(c *cobra.Command, args []string) error {
		if options.Grace <= 0 || options.Grace > maxGrace {
			return usageError(fmt.Sprintf("--grace %s: want a duration up to %s, for example 10s", options.Grace, maxGrace))
		}
		var err error
		if options.Log, err = log.logger(c.ErrOrStderr()); err != nil {
			return ranError{err}
		}
		options.Token = os.Getenv("WEBHOOK_TOKEN")
		return phoneHome(c.Context(), settings, options, len(args) > 0 && args[0] == "delete")
	}
	describeExits(c, exitOK, exitFailure, exitUsage, exitPortInUse)
	return c
}

func phoneHome(ctx context.Context, settings phonehome.Settings, options phonehome.Options, takeBack bool) error {
	settings, err := settings.WithEnvironment(os.Getenv)
	if err != nil {
		return ranError{usageError(err.Error())}
	}
	config, err := settings.Config()
	if err != nil {
		return ranError{usageError(err.Error())}
	}
	agent, err := phonehome.New(config, options)
	if err != nil {
		return ranError{usageError(err.Error())}
	}

	phonehome.SaveMemory()
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	switch {
	case takeBack:
		err = agent.TakeBack(ctx)
	case config.Interval == 0:
		err = agent.Once(ctx)
	default:
		err = agent.Run(ctx)
	}
	if err != nil {
		return ranError{err}
	}
	return nil
}

//go:build !phonehome

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
)

// interval is the value of --watch: a duration, or a number of seconds.
type interval time.Duration

func (i *interval) String() string {
	if *i == 0 {
		return "" // no default is told
	}
	return time.Duration(*i).String()
}

func (i *interval) Type() string { return "duration" }

// Set reads it within its bounds.
func (i *interval) Set(text string) error {
	const least, most = 100 * time.Millisecond, time.Hour
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return errors.New("want a time from 100ms to 1h, for example 2s")
	}
	*i = interval(d)
	return nil
}

// watch shows the edge until a signal, or a key of the terminal, ends it.
func watch(c *cobra.Command, edge *spec.Edge, every interval, depth engine.Depth, o *output) error {
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	w := c.OutOrStdout()
	show := blocks(w)
	if o.as == "json" {
		lines := json.NewEncoder(w)
		show = func(l status.Look) error { return lines.Encode(l) }
	} else if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s := newScreen(f, os.Stdin, stop)
		defer s.close()
		show = s.show
	}
	return app.Watch(ctx, edge, time.Duration(every), depth, show)
}

// blocks writes one look below the other.
func blocks(w io.Writer) func(status.Look) error {
	return func(l status.Look) error {
		_, err := fmt.Fprintf(w, "--- %s\n%s\n", l.At.Format(time.RFC3339), status.WatchTable(l, format(w)))
		return err
	}
}

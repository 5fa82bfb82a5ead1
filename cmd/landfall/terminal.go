package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logFlags are how a command logs.
type logFlags struct{ format, level string }

func withLog(c *cobra.Command, level string) *logFlags {
	l := &logFlags{}
	c.Flags().StringVar(&l.format, "log-format", "auto", "auto, text or json; auto is text on a terminal and json elsewhere")
	c.Flags().StringVar(&l.level, "log-level", level, "debug, info, warn or error")
	return l
}

// logger writes to w.
func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil || strings.ContainsAny(l.level, "+-") {
		return nil, usageError(fmt.Sprintf("--log-level %q: want debug, info, warn or error", l.level))
	}
	f, ok := w.(*os.File)
	options := &slog.HandlerOptions{Level: level}
	switch {
	case l.format == "text", l.format == "auto" && ok && term.IsTerminal(int(f.Fd())):
		return slog.New(slog.NewTextHandler(w, options)), nil
	case l.format == "json", l.format == "auto":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, usageError(fmt.Sprintf("--log-format %q: want auto, text or json", l.format))
	}
}

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of every command. They are a promise to scripts.
const (
	exitOK          = 0
	exitFailure     = 1 // check: there are findings
	exitUsage       = 2 // check: it could not be checked
	exitNoHAProxy   = 3
	exitPortInUse   = 4
	exitNoBind      = 5
	exitSocketPath  = 6
	exitCredentials = 7
	exitNotRunning  = 8
)

// exitMeaning says what a code means and what to do about it.
func exitMeaning(code int) string {
	switch code {
	case exitOK:
		return "everything went well"
	case exitFailure:
		return "something went wrong that has no code of its own"
	case exitUsage:
		return "wrong flags, or the edge's file is missing or wrong"
	case exitNoHAProxy:
		return "HAProxy is missing or older than 2.6: apt-get install haproxy"
	case exitPortInUse:
		return "a port is held by another process, which is named"
	case exitNoBind:
		return "no permission to open a port below 1024"
	case exitSocketPath:
		return "the path of a socket is longer than 107 bytes"
	case exitCredentials:
		return "a kubeconfig cannot be read, or its credentials are refused"
	case exitNotRunning:
		return "the edge does not run"
	default:
		return ""
	}
}

func allExits() []int {
	var codes []int
	for code := exitOK; exitMeaning(code) != ""; code++ {
		codes = append(codes, code)
	}
	return codes
}

// usageError is a flag with a value that it cannot have.
type usageError string

func (e usageError) Error() string { return string(e) }

// exitCode is the code for what a command returned.
func exitCode(err error) int {
	var silent silentError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return silent.code
	case !errors.As(err, new(ranError)), errors.As(err, new(usageError)):
		return exitUsage
	}
	return exitOf(err)
}

// describeExits puts the codes that a command may end with in its help.
func describeExits(c *cobra.Command, codes ...int) {
	slices.Sort(codes)
	var b strings.Builder
	for _, code := range codes {
		meaning := exitMeaning(code)
		if c.Name() == "check" {
			switch code {
			case exitOK:
				meaning = "nothing is wrong"
			case exitFailure:
				meaning = "there are findings"
			case exitUsage:
				meaning = "it could not be checked: wrong flags, or the file is missing or wrong"
			}
		}
		fmt.Fprintf(&b, "  %d  %s\n", code, meaning)
	}
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations["exits"] = b.String()
}

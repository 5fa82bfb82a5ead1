package phonehome

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"time"
)

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 256 << 10
	maxCA       = 4 << 20
)

// caller makes the calls of one edge. Each has a connection of its own, so that the
// edge always sees the address that we have now; TLS resumes its session.
type caller struct {
	caFile, agent string
	sessions      tls.ClientSessionCache
}

// line is between which addresses a call went.
type line struct{ local, peer netip.AddrPort }

func (c *caller) call(ctx context.Context, r request, token string) (answer, line) {
	var used line
	transport, err := c.transport()
	if err != nil {
		return answer{err: err, unsent: true}, used
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		used = line{addrPort(i.Conn.LocalAddr()), addrPort(i.Conn.RemoteAddr())}
	}})
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return answer{err: err, unsent: true}, used
	}
	req.Header.Set("User-Agent", c.agent)
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.old {
		req.Header.Set("X-Funkypenguin-Token", token)
	} else {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the token must not go elsewhere
	}}
	response, err := client.Do(req)
	if err != nil {
		refused, text := c.explain(ctx, err)
		return answer{err: text, unsent: !used.peer.IsValid(), refused: refused}, used
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		_, text := c.explain(ctx, err)
		return answer{err: text}, used
	}
	// Whoever repeats to us what we sent must not bring the token into our log.
	hide := func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(token), []byte("[token]")) }
	response.Header.Set("Location", string(hide([]byte(response.Header.Get("Location")))))
	return answer{status: response.StatusCode, header: response.Header, body: hide(body)}, used
}

// transport reads the CA file anew, as it may have been replaced.
func (c *caller) transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: c.sessions}
	if c.caFile != "" {
		text, err := readBounded(c.caFile, maxCA)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, fmt.Errorf("read CA file: %s holds no certificate in PEM form", c.caFile)
		}
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true,
		MaxResponseHeaderBytes: maxAnswer, TLSHandshakeTimeout: callTimeout,
	}, nil
}

// explain says why there was no answer: the same words each time for the same
// trouble, and what to do where that is known; and whether it will not go by itself.
func (c *caller) explain(ctx context.Context, err error) (stays bool, text error) {
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return false, fmt.Errorf("does not answer within %s", callTimeout)
	case ctx.Err() != nil:
		return false, errors.New("was not waited for")
	case errors.Is(err, http.ErrSchemeMismatch):
		return true, errors.New("does not speak TLS: is the port right, or should the URL begin with http://?")
	}
	if text := c.explainTLS(err); text != nil {
		return true, text
	}
	var (
		dns   *net.DNSError
		op    *net.OpError
		outer *url.Error
	)
	switch {
	case errors.As(err, &dns) && dns.IsTimeout: // what it says of it has a port of ours in it
		return false, fmt.Errorf("look up %s: no name server answers", dns.Name)
	case errors.As(err, &dns):
		return false, fmt.Errorf("look up %s: %s", dns.Name, dns.Err)
	case errors.As(err, &op):
		return false, fmt.Errorf("%s: %w", op.Op, op.Err)
	case errors.As(err, &outer):
		return false, outer.Err
	}
	return false, err
}

func (c *caller) explainTLS(err error) error {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	roots := "of this machine"
	if c.caFile != "" {
		roots = "in " + c.caFile
	}
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("has a certificate that no authority %s has signed: give the file of its CA with --ca-file", roots)
	case errors.As(err, &host):
		return fmt.Errorf("has a certificate for another name: %w", host)
	case errors.As(err, &invalid):
		return fmt.Errorf("has a certificate that is not valid (or the clock here is wrong): %w", invalid)
	case errors.As(err, &record):
		return errors.New("does not speak TLS: is the port right?")
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return tcp.AddrPort()
}

// localTo is the address from which this machine would call a peer. Nothing is
// sent.
func localTo(ctx context.Context, peer netip.AddrPort) (netip.Addr, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", peer.String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return local.Addr(), err
}

package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"dbsts/shared/config"
)

const (
	maxKeySet  = 256 << 10 // bytes of a JWK set
	maxHeaders = 64 << 10  // bytes of response headers

	defaultFresh = 10 * time.Minute // how long a key set is used without asking again
	minFresh     = 5 * time.Minute  // bounds for the issuer's own max-age
	maxFresh     = time.Hour
)

var maxAge = regexp.MustCompile(`(?i)(?:\A|[\s,])max-age="?([0-9]{1,9})\b`) // RFC 9111 §5.2.2.1

// fetcher gets the key set of one issuer from its configured address and from nowhere else.
type fetcher struct {
	url    string
	client *http.Client
}

// newFetcher prepares a client that follows no redirect, uses no proxy and, unless the issuer is private, reaches public
// addresses only. Each fetch has its own connection: one in ten minutes would find an idle one dead.
func newFetcher(issuer config.Issuer) (*fetcher, error) {
	dialer := &net.Dialer{}
	if !issuer.Private {
		dialer.Control = publicOnly()
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if issuer.CAFile != "" {
		pem, err := os.ReadFile(issuer.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate", issuer.CAFile)
		}
	}
	return &fetcher{url: issuer.JWKSURI, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        trust,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaders,
		},
	}}, nil
}

// fetch gets and reads the key set, and how long the issuer wants it to be used. The context bounds all of it.
func (f *fetcher) fetch(ctx context.Context) (keys, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, http.NoBody)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch keys: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("fetch keys from %s: status %d", f.url, response.StatusCode)
	}
	doc, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, 0, fmt.Errorf("fetch keys from %s: %w", f.url, err)
	}
	if len(doc) > maxKeySet {
		return nil, 0, fmt.Errorf("fetch keys from %s: more than %d bytes", f.url, maxKeySet)
	}
	set, err := parseKeys(doc)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch keys from %s: %w", f.url, err)
	}
	return set, freshness(response.Header.Get("Cache-Control")), nil
}

// freshness is the issuer's max-age within our bounds, or ours if it names none.
func freshness(cacheControl string) time.Duration {
	found := maxAge.FindStringSubmatch(cacheControl)
	if found == nil {
		return defaultFresh
	}
	seconds, err := strconv.Atoi(found[1])
	if err != nil {
		return defaultFresh
	}
	return min(max(time.Duration(seconds)*time.Second, minFresh), maxFresh)
}

var errNotPublic = errors.New("address is not public and the issuer is not configured as private")

// publicOnly refuses, after names are resolved and before anything is sent, every address that is not on the public
// Internet: a key set address must not reach the instance metadata or a neighbour.
func publicOnly() func(network, address string, _ syscall.RawConn) error {
	reserved := reservedPrefixes()
	translated := netip.MustParsePrefix("64:ff9b::/96") // NAT64, RFC 6052 §2.1: the last four bytes are IPv4
	return func(_, address string, _ syscall.RawConn) error {
		endpoint, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("dial %s: %w", address, err)
		}
		ip := endpoint.Addr().Unmap()
		if translated.Contains(ip) {
			bytes := ip.As16()
			ip = netip.AddrFrom4([4]byte(bytes[12:]))
		}
		// IsPrivate covers fd00::/8, where the IPv6 metadata address of AWS lives; 169.254.169.254 is link-local.
		public := ip.IsGlobalUnicast() && !ip.IsPrivate()
		for _, prefix := range reserved {
			public = public && !prefix.Contains(ip)
		}
		if !public {
			return fmt.Errorf("dial %s: %w", ip, errNotPublic)
		}
		return nil
	}
}

// reservedPrefixes are the unicast ranges that are not public and that net/netip does not know
// (IANA special-purpose address registries).
func reservedPrefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

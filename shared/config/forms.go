package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// maxCertificates is the size in bytes up to which a file of certificates is read; Amazon's bundle for all regions has
// about 160 KiB.
const maxCertificates = 1 << 20

// hostName takes what resolvers take: labels of RFC 1123 §2.1, and the underscores of container networks.
var hostName = regexp.MustCompile(`\A[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\z`)

const maxHostName = 253 // bytes; RFC 1035 §2.3.4 without the root

// parseURL reads an https URL without user, password and fragment. What is wrong does not repeat it: it may hold a
// password.
func parseURL(raw string) (u *url.URL, wrong string) {
	if !strings.HasPrefix(raw, "https://") {
		return nil, "must start with https://"
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }) {
		return nil, "has characters that a URL cannot hold; is it a template to be filled in?" // RFC 3986 §2
	}
	if strings.Contains(raw, "#") {
		return nil, "must not have a fragment (#)"
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "is not a URL"
	}
	if u.User != nil {
		return nil, "must not have a user or password before the host"
	}
	if !validHost(u.Hostname()) || strings.HasSuffix(u.Host, ":") || (u.Port() != "" && !validPort(u.Port())) {
		return nil, "has no valid host and port"
	}
	return u, ""
}

// splitAddress reads host:port and gives the host.
func splitAddress(address string) (host, wrong string) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return "", "must be host:port, or [address]:port for IPv6"
	case !validHost(host):
		return "", "has no valid host name or IP address before the port"
	case !validPort(port):
		return "", "must end in a port from 1 to 65535"
	}
	return host, ""
}

func validHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == "" // a zone is a matter of one machine, and no certificate has it
	}
	if _, err := strconv.ParseUint(host[strings.LastIndex(host, ".")+1:], 10, 64); err == nil {
		return false // 10.0.0.256: no top-level domain is a number
	}
	return len(host) <= maxHostName && hostName.MatchString(host)
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// checkCertificates resolves a file and checks that it holds certificates and no private key.
func (d *document) checkCertificates(path string, file *string) {
	if *file == "" {
		return
	}
	*file = d.resolve(*file)
	content, err := readFile(*file, maxCertificates)
	switch {
	case err != nil:
		d.report(path, "%v", err)
	case bytes.Contains(content, []byte("PRIVATE KEY-----")):
		d.report(path, "%s holds a private key: give a file of certificates alone", *file)
	case !hasCertificate(content):
		d.report(path, "%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", *file)
	}
}

// hasCertificate stops at the first: a whole bundle would cost milliseconds at each cold start, and who uses it parses
// the rest.
func hasCertificate(content []byte) bool {
	for {
		var block *pem.Block
		block, content = pem.Decode(content)
		if block == nil {
			return false
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return true
		}
	}
}

// resolve gives the path of a file that the document names.
func (d *document) resolve(file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(d.dir, file)
}

// readFile reads a file of at most limit bytes. Errors name the file, never what is in it.
func readFile(path string, limit int64) (_ []byte, err error) {
	file, err := os.Open(path) //nolint:gosec // G304: the path comes from the reviewed document or the command line
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}

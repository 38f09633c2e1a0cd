package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
)

// Loopback is a certificate for localhost, 127.0.0.1 and ::1, ready for use.
type Loopback struct {
	PEM  []byte          // the CA: what clients trust
	Pair tls.Certificate // for the server
}

// NewLoopback makes a CA and a certificate.
func NewLoopback() (Loopback, error) {
	made, err := NewCertificates("localhost", "127.0.0.1", "::1")
	if err != nil {
		return Loopback{}, err
	}
	pair, err := tls.X509KeyPair(made.Certificate, made.Key)
	if err != nil {
		return Loopback{}, fmt.Errorf("pair the certificate with its key: %w", err)
	}
	return Loopback{PEM: made.CA, Pair: pair}, nil
}

// Client trusts this CA and no other.
func (l Loopback) Client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(l.PEM)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

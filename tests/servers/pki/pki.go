// Package pki makes throw-away certificates for servers on this machine: a CA whose key is forgotten at once, and one server
// certificate signed by it.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certificateLife is long enough for a local stack that stays up, short enough that nobody builds on it.
const certificateLife = 365 * 24 * time.Hour

// Certificates are the PEM texts that a server and its clients need. The key of the CA is already forgotten.
type Certificates struct {
	CA          []byte // for clients: sslrootcert
	Certificate []byte // server.crt
	Key         []byte // server.key, PKCS #8
}

// NewCertificates makes a CA (ECDSA P-256) and a server certificate for the given host names and IP addresses.
func NewCertificates(hosts ...string) (Certificates, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificates{}, fmt.Errorf("make the CA's key: %w", err)
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificates{}, fmt.Errorf("make the server's key: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return Certificates{}, fmt.Errorf("encode the server's key: %w", err)
	}

	ca := template(1, "dbsts local CA")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return Certificates{}, fmt.Errorf("sign the CA: %w", err)
	}

	server := template(2, "dbsts local server")
	server.KeyUsage, server.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, serverKey.Public(), caKey)
	if err != nil {
		return Certificates{}, fmt.Errorf("sign the server's certificate: %w", err)
	}
	return Certificates{
		CA:          pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serverDER}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

func template(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // clocks of containers differ a little
		NotAfter:     now.Add(certificateLife),
	}
}

package clients_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2/clientcredentials"
)

// resource is what access tokens for us have in aud (RFC 8707).
const resource = "https://dbsts.test/"

func oidcProviderIsTrustworthy(t *testing.T) {
	p := newOIDCProvider(t)
	d := p.deploy(t, `[{"claim": "groups", "op": "has", "value": "engineers"}]`)
	d.mustBuy(t, p.signIn(t), "id_token")
	p.mustRotate(t, d)
	p.mustBearSkew(t, d)
}

func oidcProvidersAccessTokensAreTakenAsSuch(t *testing.T) {
	p := newOIDCProvider(t)
	d := p.deploy(t, `[{"claim": "client_id", "op": "eq", "value": "dbsts"}]`)
	job := clientcredentials.Config{
		ClientID: clientID, ClientSecret: clientSecret, TokenURL: p.TokenEndpoint, EndpointParams: url.Values{"resource": {resource}},
	}
	token, err := job.Token(withClient(t))
	must(t, err)
	d.mustBuy(t, token.AccessToken, "access_token")
	newVerifier(t, d).deny(t, "an access token presented as an ID token", token.AccessToken, "wrong_token_kind")
}

// newOIDCProvider runs npm's oidc-provider as an issuer; node/provider.mjs configures it. It ends when its input does.
func newOIDCProvider(t *testing.T) *provider {
	t.Helper()
	script := filepath.Join(t.TempDir(), "provider.mjs") // imports are looked for beside the script
	text, err := os.ReadFile("node/provider.mjs")
	must(t, err)
	must(t, os.WriteFile(script, text, 0o600))
	must(t, os.Symlink(filepath.Join(packages(t), "node_modules"), filepath.Join(filepath.Dir(script), "node_modules")))
	p := &provider{scopes: []string{"groups"}}
	p.serve(t, func(issuer string) (http.Handler, error) {
		n, err := startNode(t, script, "ISSUER="+issuer, "CALLBACK="+callback, "CLIENT_ID="+clientID, "CLIENT_SECRET="+clientSecret,
			"RESOURCE="+resource, fmt.Sprint("TOKEN_LIFE=", tokenLife.Seconds()))
		if err != nil {
			return nil, err
		}
		p.rotate, p.withdraw = func() error { return n.order("rotate") }, func() error { return n.order("withdraw") }
		port, err := n.hear("listening on ")
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + port})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		}}, err
	})
	return p
}

// nodeProcess takes orders by line and answers by line.
type nodeProcess struct {
	input  io.WriteCloser
	output *bufio.Scanner
}

func startNode(t *testing.T, script string, env ...string) (*nodeProcess, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*scriptTime)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, "node", script) //nolint:gosec // the script is node/provider.mjs
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	command.Stderr = t.Output()
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = command.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait() // killed with the context, at the latest
	})
	return &nodeProcess{input: input, output: bufio.NewScanner(output)}, nil
}

// hear waits for a line with a prefix and gives the rest of it.
func (n *nodeProcess) hear(prefix string) (string, error) {
	for n.output.Scan() {
		if rest, ok := strings.CutPrefix(n.output.Text(), prefix); ok {
			return rest, nil
		}
	}
	return "", errors.Join(errors.New("the provider ended"), n.output.Err())
}

func (n *nodeProcess) order(what string) error {
	if _, err := fmt.Fprintln(n.input, what); err != nil {
		return err
	}
	_, err := n.hear("done: " + what)
	return err
}

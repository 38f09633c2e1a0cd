package docker

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Answers tells whether a Docker engine, or something that speaks its protocol, answers within a moment, at one of the
// addresses where testcontainers-go would look. Asking testcontainers-go itself takes 80 s and panics where none runs.
func Answers(ctx context.Context) bool {
	for _, address := range addresses() {
		if answers(ctx, address) {
			return true
		}
	}
	return false
}

func addresses() []string {
	if address := os.Getenv("DOCKER_HOST"); address != "" {
		return []string{address}
	}
	found := []string{"unix:///var/run/docker.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		found = append(found, "unix://"+filepath.Join(dir, "docker.sock"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		found = append(found, "unix://"+filepath.Join(home, ".docker/run/docker.sock"))
	}
	return found
}

func answers(ctx context.Context, address string) bool {
	const dialTime, answerTime = 300 * time.Millisecond, time.Second
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	network, where := u.Scheme, u.Host
	switch u.Scheme {
	case "unix":
		where = u.Path
	case "tcp":
	case "http", "https":
		network = "tcp"
	default: // ssh, npipe: testcontainers-go would not get through either
		return false
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, where)
	}
	if os.Getenv("DOCKER_TLS_VERIFY") != "" { // a ping needs the client's certificate: that something listens is enough
		conn, refused := dial(ctx, "", "")
		return refused == nil && conn.Close() == nil
	}
	client := http.Client{Timeout: answerTime, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

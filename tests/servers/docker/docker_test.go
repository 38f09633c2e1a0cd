package docker_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"dbsts/tests/servers"
	"dbsts/tests/servers/docker"
)

// listen makes DOCKER_HOST name a new socket.
func listen(t *testing.T) net.Listener {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	t.Setenv("DOCKER_HOST", "unix://"+path)
	return listener
}

func mustAnswer(t *testing.T, want bool) {
	t.Helper()
	begun := time.Now()
	if got := docker.Answers(t.Context()); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the answer took %v", took)
	}
}

func TestNoEngineIsFoundOutBriefly(t *testing.T) {
	t.Run("no socket", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none"))
		mustAnswer(t, false)
	})
	t.Run("a socket that nobody serves", func(t *testing.T) {
		listen(t)
		mustAnswer(t, false)
	})
	t.Run("an address of a kind that we do not know", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "ssh://somewhere")
		mustAnswer(t, false)
	})
}

func TestEngineThatAnswersButDoesNothingIsAnErrorAndNoPanic(t *testing.T) {
	listener := listen(t)
	engine := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" {
			http.Error(w, `{"message":"broken"}`, http.StatusInternalServerError)
		}
	})}
	go func() { _ = engine.Serve(listener) }()
	t.Cleanup(func() { _ = engine.Close() })
	mustAnswer(t, true)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	server, err := docker.Start(ctx, servers.Options{})
	if err == nil {
		_ = server.Stop()
		t.Fatal("a server came out of a broken engine")
	}
	t.Log(err)
}

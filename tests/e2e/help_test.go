package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dbsts/tests/servers"
)

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Len()
}

// since gives the lines after an offset.
func (b *buffer) since(offset int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(strings.Lines(b.text.String()[offset:]))
}

// door is a TCP port through which the functions reach their issuer. Tests shut it, or leave it open with nobody behind it.
type door struct {
	address string // where it stands
	behind  string // where it leads

	mu       sync.Mutex
	listener net.Listener
	hanging  bool
	inside   []net.Conn
}

// newDoor makes a door that is shut and leads nowhere yet.
func newDoor(ctx context.Context) (*door, error) {
	port, err := servers.FreePort(ctx)
	return &door{address: fmt.Sprintf("127.0.0.1:%d", port)}, err
}

// open lets everybody through.
func (d *door) open() error { return d.set(true, false) }

// hang takes connections and says nothing.
func (d *door) hang() error { return d.set(true, true) }

// shut ends all connections and refuses new ones.
func (d *door) shut() error { return d.set(false, false) }

func (d *door) set(listening, hanging bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
	}
	for _, conn := range d.inside {
		_ = conn.Close()
	}
	d.inside, d.hanging = nil, hanging
	if !listening {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", d.address)
	if err != nil {
		return fmt.Errorf("open the door: %w", err)
	}
	d.listener = listener
	go d.serve(listener)
	return nil
}

func (d *door) serve(listener net.Listener) {
	for {
		outer, err := listener.Accept()
		if err != nil {
			return
		}
		if d.keep(outer) {
			continue
		}
		inner, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", d.behind)
		if err != nil {
			_ = outer.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{outer, inner}, {inner, outer}} {
			go func() {
				_, _ = io.Copy(way[0], way[1]) // either side may go away
				_ = errors.Join(way[0].Close(), way[1].Close())
			}()
		}
	}
}

// keep remembers a connection, and tells whether it is to hang.
func (d *door) keep(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside = append(d.inside, conn)
	return d.hanging
}

// must fails the test for an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something holds, for at most the limit.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

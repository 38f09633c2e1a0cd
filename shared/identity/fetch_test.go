package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestKeyServersThatMisbehaveAreGivenUpInTime(t *testing.T) {
	good := setOf(jwkOf("r", rsaKey().Public(), nil))
	var elsewhere atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = w.Write([]byte(good))
	}))
	defer other.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"hung": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"dripping": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for chunk := bytes.Repeat([]byte(" "), 1<<16); r.Context().Err() == nil; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"one byte too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(good + strings.Repeat(" ", maxKeySet+1-len(good))))
		},
		"redirecting": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"redirecting 307": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/keys2", http.StatusTemporaryRedirect)
		},
		"huge headers":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", maxHeaders+1)) },
		"500":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = w.Write([]byte(good)) },
		"203":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(203); _, _ = w.Write([]byte(good)) },
		"not JSON":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no keys member": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"keys null":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":null}`)) },
		"keys twice":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[],"keys":[]}`)) },
		"empty":          func(http.ResponseWriter, *http.Request) {},
		"hanging up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.p.Answer(handler)
			start := time.Now()
			s.refuses(s.good(), ReasonKeysUnavailable)
			if took := time.Since(start); took > fetchTimeout+time.Second {
				t.Errorf("took %v", took)
			}
			s.fetched(1)
			s.p.Serve(good)
			s.clock.Advance(coldPause)
			s.accepts(s.good()) // nothing is poisoned
		})
	}
	t.Cleanup(func() {
		if elsewhere.Load() != 0 {
			t.Error("a redirect was followed")
		}
	})
}

func TestAnEndlessKeySetIsNotReadToTheEnd(t *testing.T) {
	s := newScene(t)
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	s.p.Answer(func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.refuses(s.good(), ReasonKeysUnavailable)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes allocated for a body of 64 MiB", grown)
	}
}

func TestAKeyServerMustProveItself(t *testing.T) {
	clock := newClock()
	p := newProvider(t, setOf(jwkOf("r", rsaKey().Public(), nil)))
	raw := token("RS256", "r", rsaKey(), goodClaims(clock.Now()))

	stranger := p.Issuer()
	stranger.CAFile = "" // the system's roots do not know the test's server
	refuses(t, newVerifier(t, clock.Now, stranger), raw, ReasonKeysUnavailable)

	misnamed := p.Issuer()
	misnamed.JWKSURI = strings.Replace(p.URL, "127.0.0.1", "localhost", 1)
	refuses(t, newVerifier(t, clock.Now, misnamed), raw, ReasonKeysUnavailable)

	ancient := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} // #nosec G402 -- the attack
	old := newProviderWith(t, setOf(jwkOf("r", rsaKey().Public(), nil)), ancient)
	refuses(t, newVerifier(t, clock.Now, old.Issuer()), raw, ReasonKeysUnavailable)

	if n := p.Fetches.Load() + old.Fetches.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestAPublicIssuerIsNotFetchedFromAPrivateAddress(t *testing.T) {
	clock := newClock()
	p := newProvider(t, setOf(jwkOf("r", rsaKey().Public(), nil)))
	issuer := p.Issuer()
	issuer.Private = false
	v := newVerifier(t, clock.Now, issuer)
	_, err := v.Verify(context.Background(), token("RS256", "r", rsaKey(), goodClaims(clock.Now())), IDToken)
	var refusal *Error
	if !errors.As(err, &refusal) || !errors.Is(refusal.Cause, errNotPublic) || p.Fetches.Load() != 0 {
		t.Errorf("got %v after %d fetches, want none and %v", err, p.Fetches.Load(), errNotPublic)
	}
}

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	control := publicOnly()
	for _, address := range []string{"140.82.112.3:443", "8.8.8.8:443", "[2606:4700::6810:84e5]:443", "[64:ff9b::8c52:7003]:443", "[::ffff:8.8.8.8]:443"} {
		if err := control("tcp", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{
		"127.0.0.1:443", "127.8.8.8:443", "0.0.0.0:443", "0.1.2.3:443", "10.0.0.1:443", "172.16.0.1:443", "172.31.255.255:443",
		"192.168.1.1:443", "169.254.169.254:443", "169.254.170.2:443", "100.64.0.1:443", "100.127.255.255:443", "192.0.0.192:443",
		"198.18.0.1:443", "224.0.0.1:443", "240.0.0.1:443", "255.255.255.255:443", "[::]:443", "[::1]:443", "[fe80::1]:443",
		"[fe80::1%eth0]:443", "[fd00:ec2::254]:443", "[fc00::1]:443", "[ff02::1]:443", "[fec0::1]:443", "[2001:db8::1]:443",
		"[::ffff:127.0.0.1]:443", "[::ffff:100.64.0.1]:443", "[::ffff:169.254.169.254]:443", "[::7f00:1]:443", "[64:ff9b::7f00:1]:443",
		"[64:ff9b::a9fe:a9fe]:443", "[64:ff9b:1::1]:443", "[2002:7f00:1::]:443", "[2001:0:7f00:1::]:443", "localhost:443", "",
	} {
		if err := control("tcp", address, nil); err == nil {
			t.Errorf("%s is dialled", address)
		}
	}
}

func TestFreshnessFollowsTheIssuerWithinBounds(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 10 * time.Minute, "no-cache": 10 * time.Minute, "max-age=0": 5 * time.Minute, "public, max-age=900, must-revalidate": 15 * time.Minute,
		"Max-Age=1200": 20 * time.Minute, "max-age=86400": time.Hour, "max-age=99999999999999999999": 10 * time.Minute, "max-age=-5": 10 * time.Minute,
		"s-maxage=900": 10 * time.Minute, "x-max-age=900": 10 * time.Minute, `max-age="900"`: 15 * time.Minute, "public,max-age=900": 15 * time.Minute,
	} {
		if got := freshness(header); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestTheIssuersMaxAgeIsHeeded(t *testing.T) {
	s := newScene(t)
	keySet := setOf(jwkOf("r", rsaKey().Public(), nil))
	s.p.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=1800")
		_, _ = w.Write([]byte(keySet))
	})
	s.accepts(s.good())
	s.clock.Advance(30*time.Minute - time.Second)
	s.accepts(s.good())
	s.fetched(1)
	s.clock.Advance(time.Second)
	s.accepts(s.good())
	s.fetched(2)
}

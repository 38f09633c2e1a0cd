package main

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"dbsts/shared/identity"
	"dbsts/shared/identity/identitytest"
)

// hugeBodies: what a body may cost before it is refused. The event is decoded by then, by the Lambda runtime's library;
// time and memory are measured from there on, memory as all that the process allocates meanwhile (runtime.MemStats).
func (a *attacks) hugeBodies(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	huge := strings.Repeat("a", 5_000_000)
	for name, body := range map[string]string{
		"5 MB": huge, "5 MB of token": wish(huge).Encode(), "a million dots": wish(strings.Repeat(".", 1_000_000)).Encode(),
		"5 MB of parameters": strings.Repeat("a=b&", 1_250_000), "5 MB of percent": strings.Repeat("%41", 1_666_666),
	} {
		t.Run(name, func(t *testing.T) {
			plain, encoded := s.event, s.event
			plain.Body, plain.IsBase64Encoded = body, false
			encoded.Body, encoded.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(body)), true
			want := refusal{answer: tooLarge, logged: tooLarge.Reason}
			for _, event := range []events.APIGatewayV2HTTPRequest{plain, encoded} {
				s.judge(t, want, func() answer { return s.send(t, event) })
				mustCost(t, time.Millisecond, 64<<10, func() { _, _ = s.handler.Handle(t.Context(), event) })
			}
		})
	}
	if p.Fetches.Load() != 0 {
		t.Errorf("%d requests", p.Fetches.Load())
	}
}

// largestBodies: what still passes the caps may cost as much as its size warrants, and no more. The bounds leave room for
// a machine that does other things; a cost that grows with the square of the size is far beyond them.
func (a *attacks) largestBodies(t *testing.T) {
	p := a.provider(t, ours())
	s := a.scene(t, rulesFor(anybody), p.Issuer())
	if err := s.verifier.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := s.claims(nil).JSON()
	with := func(member string) string {
		payload := good[:len(good)-1] + "," + member + "}"
		return wish(identitytest.Encode(`{"alg":"RS256","kid":"r"}`) + "." + identitytest.Encode(payload) + ".AAAA").Encode()
	}
	var members, names strings.Builder
	for i := range 1300 {
		fmt.Fprintf(&members, `"%x":0,`, i)
	}
	for i := range 95 {
		fmt.Fprintf(&names, "&%x=%s", i, strings.Repeat("%41", 200))
	}
	form := refusal{answer: badForm, logged: badForm.Reason}
	for name, c := range map[string]struct {
		body string
		want refusal
	}{
		"arrays in arrays":         {with(`"x":` + strings.Repeat("[", 5800) + strings.Repeat("]", 5800)), unproven(identity.ReasonSignatureInvalid)},
		"objects in objects":       {with(`"x":` + strings.Repeat(`{"":`, 2300) + "1" + strings.Repeat("}", 2300)), unproven(identity.ReasonSignatureInvalid)},
		"many members":             {with(members.String() + `"x":1`), unproven(identity.ReasonSignatureInvalid)},
		"many numbers":             {with(`"x":[0` + strings.Repeat(",0", 5700) + "]"), unproven(identity.ReasonSignatureInvalid)},
		"a number of 11,000 nines": {with(`"x":` + strings.Repeat("9", 11_000)), unproven(identity.ReasonSignatureInvalid)},
		"many blanks in scope":     {wish("a.b.c", "scope", strings.Repeat(" ", 60_000)).Encode(), unproven(identity.ReasonTokenMalformed)},
		"one role many times":      {wish("a.b.c", "scope", strings.Repeat("a ", 30_000)).Encode(), unproven(identity.ReasonTokenMalformed)},
		"many parameters":          {wish("a.b.c").Encode() + names.String(), unproven(identity.ReasonTokenMalformed)},
		"too many parameters":      {wish("a.b.c").Encode() + strings.Repeat("&a", 97), form},
		"far too many":             {strings.Repeat("a&", 32_000), form},
	} {
		t.Run(name, func(t *testing.T) {
			event := s.event
			event.Body, event.IsBase64Encoded = c.body, false
			s.judge(t, c.want, func() answer { return s.send(t, event) })
			mustCost(t, 50*time.Millisecond, 4<<20, func() { _, _ = s.handler.Handle(t.Context(), event) })
		})
	}
}

// mustCost bounds what a call takes at its quickest, which other work on the machine disturbs least, and the memory that
// it allocates on average.
func mustCost(t *testing.T, most time.Duration, bytes uint64, call func()) {
	t.Helper()
	const runs = 20
	call()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took := timed(call)
	for range runs - 1 {
		took = min(took, timed(call))
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / runs
	t.Logf("%v, %d bytes allocated", took, allocated)
	if took > most || allocated > bytes {
		t.Errorf("took %v and allocated %d bytes, want at most %v and %d", took, allocated, most, bytes)
	}
}

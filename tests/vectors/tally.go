package vectors

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:embed testdata/*.txt
var expectations embed.FS

// Tally compares what we do with what the authors expect, and counts. It is not safe for concurrent use.
type Tally struct {
	name        string
	differences map[string]string // by "file id": the reason for which we refuse what its author calls valid
	tried       int
	accepted    int
	refused     map[string]int // by reason
	differed    int
}

// NewTally reads the deliberate differences from testdata/<name>.txt: in each line a file, an id, our reason and, after
// a #, why. A tally without that file knows no differences.
func NewTally(tb testing.TB, name string) *Tally {
	tb.Helper()
	tally := &Tally{name: name, differences: map[string]string{}, refused: map[string]int{}}
	doc, err := expectations.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		return tally
	}
	for number, line := range strings.Split(string(doc), "\n") {
		entry, why, _ := strings.Cut(line, "#")
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || strings.TrimSpace(why) == "" {
			tb.Fatalf("%s.txt:%d: want file, id, reason, # and why", name, number+1)
		}
		tally.differences[fields[0]+" "+fields[1]] = fields[2]
	}
	return tally
}

// Count takes the outcome of one vector: the reason for which it was refused, or "" if it was accepted. An invalid vector
// that was accepted is an error always; a valid one that was refused, unless that is a difference with this very reason.
func (t *Tally) Count(tb testing.TB, v Vector, reason string) {
	tb.Helper()
	t.tried++
	key := v.File + " " + strconv.Itoa(v.ID)
	expected, different := t.differences[key]
	delete(t.differences, key)
	if reason == "" {
		t.accepted++
	} else {
		t.refused[reason]++
	}
	switch {
	case !v.Valid && reason == "":
		tb.Errorf("%s (%s) was accepted, its author calls it invalid", key, v.Comment)
	case v.Valid && reason != "" && reason != expected:
		tb.Errorf("%s (%s) was refused as %s, its author calls it valid, our expectation is %q", key, v.Comment, reason, expected)
	case different && (reason == "" || !v.Valid):
		tb.Errorf("%s (%s): the difference is gone", key, v.Comment)
	case different:
		t.differed++
	}
}

// Refused is how many vectors were refused for this reason.
func (t *Tally) Refused(reason string) int { return t.refused[reason] }

// Close fails the test if a difference names a vector that was not tried, and logs the count.
func (t *Tally) Close(tb testing.TB) {
	tb.Helper()
	for _, key := range slices.Sorted(maps.Keys(t.differences)) {
		tb.Errorf("%s.txt: there is no %s", t.name, key)
	}
	tb.Log(t)
}

// String is the count in one line.
func (t *Tally) String() string {
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(t.refused)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, t.refused[reason]))
	}
	return fmt.Sprintf("%s: %d tried, %d accepted, %d refused (%s), %d deliberate differences",
		t.name, t.tried, t.accepted, t.tried-t.accepted, strings.Join(reasons, ", "), t.differed)
}

// Sum adds up what was counted; the differences still expected stay behind.
func Sum(name string, tallies ...*Tally) *Tally {
	sum := &Tally{name: name, refused: map[string]int{}}
	for _, t := range tallies {
		sum.tried += t.tried
		sum.accepted += t.accepted
		sum.differed += t.differed
		for reason, n := range t.refused {
			sum.refused[reason] += n
		}
	}
	return sum
}

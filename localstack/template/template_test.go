package template

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = "testdata/template.yaml"

func TestFunctionsAreReadOverGlobals(t *testing.T) {
	got := load(t, nil, nil)
	if diff := cmp.Diff([]string{"BareFunction", "ExchangeFunction", "SweepFunction"}, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Error(diff)
	}
	exchange, sweep := got["ExchangeFunction"], got["SweepFunction"]
	if exchange.Timeout != 15 || exchange.Memory != 512 || exchange.Concurrency != 20 {
		t.Errorf("exchange: got %+v", exchange)
	}
	if sweep.Timeout != 55 || sweep.Memory != 512 || sweep.Concurrency != 1 {
		t.Errorf("sweep: got %+v", sweep)
	}
}

func TestVariablesOfAFunctionJoinThoseOfGlobals(t *testing.T) {
	got := load(t, nil, nil)
	want := map[string]string{
		"DBSTS_CONFIG": "own.yaml", "NOTHING": "", "FLAG": "true", "QUEUE": "local-Queue", "ROLE": "local-ExchangeRole.Arn",
		"URL": "https://local-Api.local-AWS-Region//var/task/dbsts.yaml?${literal}",
	}
	if diff := cmp.Diff(want, got["ExchangeFunction"].Environment.Variables); diff != "" {
		t.Error(diff)
	}
	want = map[string]string{"DBSTS_CONFIG": "/var/task/dbsts.yaml", "NOTHING": "", "FLAG": "true"}
	if diff := cmp.Diff(want, got["SweepFunction"].Environment.Variables); diff != "" {
		t.Errorf("one function's variables reached another: %s", diff)
	}
}

func TestEventsAreReadWithTheirParameters(t *testing.T) {
	got := load(t, map[string]string{"Rate": "rate(5 minutes)"}, nil)
	token, tick := got["ExchangeFunction"].Events["Token"], got["SweepFunction"].Events["Tick"]
	if token.Type != "HttpApi" || token.Properties.Method != "POST" || token.Properties.Path != "/token" {
		t.Errorf("got %+v", token)
	}
	if tick.Type != "ScheduleV2" || tick.Properties.Schedule != "rate(5 minutes)" || tick.Properties.Input != `{"a": 1}` {
		t.Errorf("got %+v", tick)
	}
}

func TestGivenParametersReplaceDefaults(t *testing.T) {
	got := load(t, map[string]string{"Memory": "1024", "ConfigFile": "/tmp/x"}, nil)["SweepFunction"]
	if got.Memory != 1024 || got.Environment.Variables["DBSTS_CONFIG"] != "/tmp/x" {
		t.Errorf("got %+v", got)
	}
}

func TestOnlyDeclaredVariablesCanBeSet(t *testing.T) {
	set := func(id, name string) map[string]map[string]string {
		return map[string]map[string]string{id: {name: "new"}}
	}
	if got := load(t, nil, set("SweepFunction", "FLAG"))["SweepFunction"].Environment.Variables["FLAG"]; got != "new" {
		t.Errorf("got FLAG %q", got)
	}
	for id, name := range map[string]string{"SweepFunction": "FALG", "SwepFunction": "FLAG"} {
		if _, err := Load(sample, nil, set(id, name)); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), id) {
			t.Errorf("%s for %s: got %v", name, id, err)
		}
	}
}

func TestTheProjectsOwnTemplateHasWhatTheStackNeeds(t *testing.T) {
	got, err := Load("../../template.yaml", map[string]string{"ConfigFile": "/tmp/x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"ExchangeFunction", "RevokeFunction", "SweepFunction", "MigrateFunction"} {
		if f := got[id]; f.Environment.Variables["DBSTS_CONFIG"] != "/tmp/x" || f.Timeout < 15 || f.Memory < 128 {
			t.Errorf("%s: got %+v", id, f)
		}
	}
}

func load(t *testing.T, parameters map[string]string, env map[string]map[string]string) Functions {
	t.Helper()
	got, err := Load(sample, parameters, env)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// logicalID names the resource, and the make target build-<id>, of functions/<folder>.
func logicalID(folder string) string { return strings.ToUpper(folder[:1]) + folder[1:] + "Function" }

func TestEveryFunctionHasResourceAndBuildTarget(t *testing.T) {
	var want []string
	makefile := read(t, "Makefile")
	for _, folder := range functionFolders(t) {
		id := logicalID(folder)
		want = append(want, id)
		target := regexp.MustCompile(`(?m)^build-` + id + `:\s*; \$\(call package,` + folder + `\)$`)
		if !target.MatchString(makefile) {
			t.Errorf("Makefile has no target build-%s that packages %s", id, folder)
		}
	}
	var got []string
	for id, f := range template(t).functions() {
		got = append(got, id)
		if f.at("Metadata", "BuildMethod") != "makefile" {
			t.Errorf("%s is not built by make", id)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions in the tree (-) and in template.yaml (+):\n%s", diff)
	}
}

func TestPackagesFitTheArchitecture(t *testing.T) {
	globals := template(t).node("Globals", "Function")
	architectures := globals.at("Architectures")
	made := regexp.MustCompile(`(?m)^LAMBDA_ARCH := (\S+)$`).FindStringSubmatch(read(t, "Makefile"))
	if made == nil || !cmp.Equal(architectures, []any{made[1]}) {
		t.Errorf("make builds for %v, template.yaml says %v", made, architectures)
	}
	if globals.at("Runtime") != "provided.al2023" || globals.at("Handler") != "bootstrap" {
		t.Errorf("runtime %v and handler %v do not start a Go binary", globals.at("Runtime"), globals.at("Handler"))
	}
}

func TestEnvironmentIsWhatTheCodeReads(t *testing.T) {
	declared := map[string]bool{}
	tpl := template(t)
	for name := range tpl.node("Globals", "Function", "Environment", "Variables") {
		declared[name] = true
	}
	for _, f := range tpl.functions() {
		for name := range f.node("Properties", "Environment", "Variables") {
			declared[name] = true
		}
	}
	read := environmentNames(t)
	if len(read) == 0 {
		t.Error("no function reads its environment: has the way of reading changed?")
	}
	for name, where := range read {
		if !declared[name] {
			t.Errorf("%s reads %s, which template.yaml does not set", where, name)
		}
	}
	for name := range declared {
		if _, ok := read[name]; !ok {
			t.Errorf("template.yaml sets %s, which no function reads", name)
		}
	}
}

// environmentNames finds the names in the functions' code, each with one file that holds it. AWS_* is set by Lambda itself.
func environmentNames(t *testing.T) map[string]string {
	t.Helper()
	getenv := regexp.MustCompile(`os\.(?:Getenv|LookupEnv)\("(\w+)"\)|"(DBSTS_[A-Z0-9_]+)"`)
	names := map[string]string{}
	for _, file := range sources(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || !under(file, "functions") && !under(file, "shared") {
			continue
		}
		for _, found := range getenv.FindAllStringSubmatch(read(t, file), -1) {
			if name := found[1] + found[2]; !strings.HasPrefix(name, "AWS_") {
				names[name] = file
			}
		}
	}
	return names
}

func TestTimeoutsAreOrdered(t *testing.T) {
	const gatewayLimit = 30_000 // milliseconds; an HTTP API's integration time-out cannot be longer
	tpl := template(t)
	for id, f := range tpl.functions() {
		seconds := number(t, f.at("Properties", "Timeout"), tpl.at("Globals", "Function", "Timeout"))
		for name, event := range f.events() {
			switch event.at("Type") {
			case "HttpApi":
				wait := number(t, event.at("Properties", "TimeoutInMillis"))
				if seconds*1000 >= wait || wait > gatewayLimit {
					t.Errorf("%s.%s: the gateway waits %d ms for a function of %d s", id, name, wait, seconds)
				}
			case "ScheduleV2":
				if seconds >= 60 {
					t.Errorf("%s.%s: one run may take %d s, longer than a minute", id, name, seconds)
				}
			}
		}
	}
}

func TestRoutesTakePayloadTwo(t *testing.T) {
	for id, f := range template(t).functions() {
		for name, event := range f.events() {
			if event.at("Type") == "HttpApi" && event.at("Properties", "PayloadFormatVersion") != "2.0" {
				t.Errorf("%s.%s: payload %v", id, name, event.at("Properties", "PayloadFormatVersion"))
			}
		}
	}
}

func TestSweepIsScheduledSafely(t *testing.T) {
	sweep := template(t).functions()["SweepFunction"]
	schedules := 0
	for name, event := range sweep.events() {
		if event.at("Type") != "ScheduleV2" {
			continue
		}
		schedules++
		p := event.node("Properties")
		if p.at("OmitName") != true {
			t.Errorf("%s: without OmitName a second stack in the account collides", name)
		}
		if p.at("DeadLetterConfig", "Arn") == nil || p.at("RetryPolicy", "MaximumEventAgeInSeconds") == nil {
			t.Errorf("%s: lost runs must not pile up, nor vanish", name)
		}
		var input, event map[string]string
		if err := errors.Join(json.Unmarshal(fmt.Append(nil, p.at("Input")), &input),
			json.Unmarshal([]byte(read(t, "events/sweep.json")), &event)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(event)), slices.Sorted(maps.Keys(input))); diff != "" {
			t.Errorf("events/sweep.json (-) and what the scheduler sends (+):\n%s", diff)
		}
	}
	if schedules != 1 {
		t.Errorf("SweepFunction has %d schedules", schedules)
	}
	if sweep.at("Properties", "EventInvokeConfig", "DestinationConfig", "OnFailure", "Destination") == nil {
		t.Error("a run that fails leaves no trace")
	}
}

func TestEventsDecode(t *testing.T) {
	routes := map[string]bool{}
	for _, f := range template(t).functions() {
		for _, event := range f.events() {
			routes[fmt.Sprintf("%v %v", event.at("Properties", "Method"), event.at("Properties", "Path"))] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "events", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no events: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var event struct {
			Version  string `json:"version"`
			RouteKey string `json:"routeKey"`
		}
		if err := json.Unmarshal(text, &event); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if event.RouteKey != "" && (event.Version != "2.0" || !routes[event.RouteKey]) {
			t.Errorf("%s: template.yaml has no route %q with payload %q", file, event.RouteKey, event.Version)
		}
	}
}

// functionFolders lists functions/*, sorted.
func functionFolders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	return folders
}

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"dbsts/localstack/gateway"
	"dbsts/localstack/runtime"
	"dbsts/localstack/template"
	"dbsts/shared/broker"
	"dbsts/shared/config"
)

// stack is one deployment of template.yaml: configuration, functions, gateway. No process runs before its first event.
type stack struct {
	*site
	url       string
	path      string // of the configuration
	template  template.Functions
	functions map[string]*runtime.Function
	client    *http.Client
	log       *buffer // what its functions wrote
}

// deploy makes a deployment for the site, with the configuration as edit leaves it. It ends with ctx and close.
func (s *site) deploy(ctx context.Context, edit func(*config.Config)) (*stack, error) {
	d := &stack{site: s, functions: map[string]*runtime.Function{}, client: run.certificate.Client(), log: &buffer{}}
	d.client.Timeout = 20 * time.Second
	d.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 32
	dir, err := os.MkdirTemp(s.dir, "deployment")
	if err != nil {
		return nil, err
	}
	d.path = filepath.Join(dir, "dbsts.yaml")
	d.template, err = template.Load(root+"/template.yaml", map[string]string{"ConfigFile": d.path}, nil)
	if err != nil {
		return nil, err
	}
	routes := gateway.Routes{}
	for id, f := range d.template {
		d.functions[id] = &runtime.Function{
			Name: id, Binary: filepath.Join(run.dir, id, "bootstrap"), Env: f.Environment.Variables,
			Timeout: time.Duration(f.Timeout) * time.Second, Memory: f.Memory, Limit: f.Concurrency, Log: io.MultiWriter(&run.logs, d.log),
		}
		for _, event := range f.Events {
			routes[strings.ToUpper(event.Properties.Method)+" "+event.Properties.Path] = d.functions[id].Invoke
		}
	}
	d.url, err = run.certificate.Serve(ctx, func(string) (http.Handler, error) { return routes, nil })
	if err != nil {
		return nil, err
	}
	return d, d.configure(edit)
}

// configure writes the configuration; functions read it when they start.
func (d *stack) configure(edit func(*config.Config)) error {
	cfg := d.Config
	cfg.Servers, cfg.Targets = slices.Clone(cfg.Servers), slices.Clone(cfg.Targets)
	cfg.URL = d.url
	cfg.Issuers = []config.Issuer{{
		Issuer: d.issuer, Audiences: []string{audience}, JWKSURI: d.issuer + "/keys", CAFile: run.caFile, Private: true,
	}}
	if edit != nil {
		edit(&cfg)
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return os.WriteFile(d.path, text, 0o600)
}

// fresh makes a deployment for one test, cold, with wishes of its own.
func (s *site) fresh(t *testing.T, edit func(*config.Config)) *stack {
	t.Helper()
	d, err := s.deploy(t.Context(), edit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.close()
		d.tell(t, 0)
	})
	return d
}

func (d *stack) close() {
	for _, f := range d.functions {
		f.Close()
	}
}

// tell shows a failed test what the functions wrote since an offset.
func (d *stack) tell(t *testing.T, offset int) {
	if lines := d.log.since(offset); t.Failed() && len(lines) > 0 {
		const most = 20
		t.Logf("the functions' last lines:\n%s", strings.Join(lines[max(0, len(lines)-most):], ""))
	}
}

// processes are the ids of a function's living processes.
func (d *stack) processes(t *testing.T, id string) []int {
	t.Helper()
	binary := filepath.Join(run.dir, id, "bootstrap")
	entries, err := filepath.Glob("/proc/[0-9]*/exe")
	must(t, err)
	var found []int
	for _, entry := range entries {
		folder := filepath.Dir(entry)
		if program, linkErr := os.Readlink(entry); linkErr != nil || program != binary {
			continue // not ours, or just gone
		}
		environment, readErr := os.ReadFile(folder + "/environ")
		if readErr == nil && bytes.Contains(environment, []byte("DBSTS_CONFIG="+d.path+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(folder)) // digits, says the pattern
			found = append(found, pid)
		}
	}
	return found
}

// tick hands the sweep the event that the scheduler of template.yaml would send.
func (d *stack) tick(ctx context.Context) (broker.Report, error) {
	var input string
	for _, event := range d.template["SweepFunction"].Events {
		input = event.Properties.Input
	}
	input = strings.NewReplacer("<aws.scheduler.scheduled-time>", time.Now().UTC().Format(time.RFC3339),
		"<aws.scheduler.execution-id>", "7c1d2e3f-4a5b", "<aws.scheduler.attempt-number>", "1").Replace(input)
	answer, err := d.functions["SweepFunction"].Invoke(ctx, []byte(input))
	if err != nil {
		return broker.Report{}, err
	}
	var report broker.Report
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.DisallowUnknownFields()
	return report, decoder.Decode(&report)
}

// sweep runs one tick and wants it to have left nothing undone. It gives the number of logins dropped.
func (d *stack) sweep(t *testing.T) int {
	t.Helper()
	report, err := d.tick(t.Context())
	if err != nil {
		t.Fatalf("sweep: %v", err)
	}
	dropped := 0
	for _, server := range report.Servers {
		dropped += server.Dropped
		if server.Error != "" || server.Remaining || server.Postponed > 0 {
			t.Errorf("the sweep left something undone: %+v", server)
		}
	}
	return dropped
}

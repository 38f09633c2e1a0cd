// Package template reads what the local stack needs of a SAM template: functions, routes, schedules, environment.
//
// It assumes a template that cfn-lint accepts. It evaluates no condition: !If gives its first branch, and a reference to
// anything but a parameter gives a harmless placeholder.
package template

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Functions are keyed by logical id.
type Functions map[string]Function

// Function is one AWS::Serverless::Function, Globals merged in.
type Function struct {
	Timeout     int `yaml:"Timeout"`                      // seconds
	Memory      int `yaml:"MemorySize"`                   // MiB
	Concurrency int `yaml:"ReservedConcurrentExecutions"` // 0 or less: none reserved
	Environment struct {
		Variables map[string]string `yaml:"Variables"`
	} `yaml:"Environment"`
	Events map[string]Event `yaml:"Events"`
}

// Event is what triggers a function.
type Event struct {
	Type       string `yaml:"Type"` // HttpApi or ScheduleV2
	Properties struct {
		Method   string `yaml:"Method"`
		Path     string `yaml:"Path"`
		Schedule string `yaml:"ScheduleExpression"`
		Input    string `yaml:"Input"` // JSON
	} `yaml:"Properties"`
}

// Load reads the template. Parameters have their defaults, or what is given instead; env replaces environment variables by
// logical id (the format of `sam local invoke --env-vars`). SAM drops what the template does not declare; here it is an error.
func Load(path string, parameters map[string]string, env map[string]map[string]string) (Functions, error) {
	raw, err := os.ReadFile(path) // #nosec G304 -- the user names the file
	var document struct {
		Parameters map[string]map[string]yaml.Node `yaml:"Parameters"`
		Globals    map[string]yaml.Node            `yaml:"Globals"`
		Resources  map[string]map[string]yaml.Node `yaml:"Resources"`
	}
	if err = cmp.Or(err, yaml.Unmarshal(raw, &document)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	values := scope{}
	for name, parameter := range document.Parameters {
		values[name] = parameter["Default"].Value // all of ours are scalars
	}
	maps.Copy(values, parameters)
	functions := Functions{}
	for id, resource := range document.Resources {
		if resource["Type"].Value != "AWS::Serverless::Function" {
			continue
		}
		function := Function{Timeout: 3, Memory: 128} // Lambda's defaults
		for _, layer := range []yaml.Node{document.Globals["Function"], resource["Properties"]} {
			values.resolve(&layer)
			if err = layer.Decode(&function); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, id, err)
			}
		}
		functions[id] = function
	}
	for id, variables := range env {
		for name, value := range variables {
			if _, ok := functions[id].Environment.Variables[name]; !ok {
				return nil, fmt.Errorf("%s declares no variable %s for %s", path, name, id)
			}
			functions[id].Environment.Variables[name] = value
		}
	}
	return functions, nil
}

var variable = regexp.MustCompile(`\$\{[^!}][^}]*\}`)

type scope map[string]string

// resolve replaces CloudFormation's functions, innermost first. It may be repeated.
func (s scope) resolve(n *yaml.Node) {
	for _, child := range n.Content {
		s.resolve(child)
	}
	switch {
	case n.Tag == "!Ref" && n.Value == "AWS::NoValue":
		n.Tag, n.Value = "!!null", ""
	case n.Tag == "!Ref":
		n.Tag, n.Value = "", s.value(n.Value) // no tag: whatever the value looks like
	case n.Tag == "!Sub" && n.Kind == yaml.ScalarNode:
		n.Tag, n.Value = "!!str", variable.ReplaceAllStringFunc(n.Value, func(v string) string { return s.value(v[2 : len(v)-1]) })
		n.Value = strings.ReplaceAll(n.Value, "${!", "${")
	case n.Tag == "!If" && len(n.Content) == 3:
		*n = *n.Content[1]
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "local-" + n.Value}
	}
}

func (s scope) value(name string) string {
	if value, ok := s[name]; ok {
		return value
	}
	return "local-" + strings.ReplaceAll(name, "::", "-")
}

package tests

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// eni is what the Lambda service needs to attach a function to a VPC; these actions know no resource.
// Source: AWS Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC".
var eni = []string{
	"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
	"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
}

// rights is every other action that the template may allow. Nothing else finds a misspelt one before it is missed at run time.
var rights = []string{
	"lambda:InvokeFunction", "logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage", "sts:AssumeRole",
}

func TestEveryFunctionHasItsOwnRoleAndKeptLogs(t *testing.T) {
	tpl := template(t)
	owners := map[any]string{}
	for id, f := range tpl.functions() {
		role, _ := f.at("Properties", "Role").(string)
		logs, _ := f.at("Properties", "LoggingConfig", "LogGroup").(string)
		for _, resource := range []string{role, logs} {
			if other, taken := owners[resource]; taken {
				t.Errorf("%s shares %q with %s", id, resource, other)
			}
			owners[resource] = id
		}
		if tpl.at("Resources", strings.TrimSuffix(role, ".Arn"), "Type") != "AWS::IAM::Role" {
			t.Errorf("%s: role %q is not one of this template", id, role)
		}
		if tpl.at("Resources", logs, "Type") != "AWS::Logs::LogGroup" {
			t.Errorf("%s: log group %q is not one of this template", id, logs)
		}
		if !strings.Contains(fmt.Sprint(tpl.node("Resources", strings.TrimSuffix(role, ".Arn"))), logs+".Arn") {
			t.Errorf("%s: its role may not write to %s", id, logs)
		}
	}
	for id, r := range tpl.resources() {
		if r.at("Type") == "AWS::Logs::LogGroup" && r.at("Properties", "RetentionInDays") == nil {
			t.Errorf("%s keeps logs for ever", id)
		}
	}
}

func TestRightsAreLeast(t *testing.T) {
	for id, r := range template(t).resources() {
		for _, s := range statements(r) {
			if s.at("Effect") != "Allow" {
				continue
			}
			onAll := slices.Contains(texts(s.at("Resource")), "*")
			for _, action := range texts(s.at("Action")) {
				switch {
				case onAll && !slices.Contains(eni, action):
					t.Errorf("%s allows %s on every resource", id, action)
				case !onAll && !slices.Contains(rights, action):
					t.Errorf("%s allows %s, which is not on the list", id, action)
				}
			}
		}
	}
}

func TestCodeInAFunctionMayNotTouchTheNetwork(t *testing.T) {
	tpl := template(t)
	for id, r := range tpl.resources() {
		var allowed, denied []string
		var exempt node
		for _, s := range statements(r) {
			if actions := texts(s.at("Action")); slices.Contains(actions, eni[0]) {
				if s.at("Effect") == "Deny" {
					denied, exempt = actions, s
				} else {
					allowed = actions
				}
			}
		}
		if allowed == nil {
			continue
		}
		slices.Sort(allowed)
		slices.Sort(denied)
		if diff := cmp.Diff(eni, allowed); diff != "" {
			t.Errorf("%s: what the service needs (-) and gets (+):\n%s", id, diff)
		}
		if diff := cmp.Diff(allowed, denied); diff != "" {
			t.Errorf("%s: allowed to the service (-) and denied to the code (+):\n%s", id, diff)
		}
		sources := strings.Join(texts(exempt.at("Condition", "ArnEquals", "lambda:SourceFunctionArn")), " ")
		for f, resource := range tpl.functions() {
			name, _ := resource.at("Properties", "FunctionName").(string)
			if name == "" || !strings.Contains(sources, ":function:"+name) {
				t.Errorf("%s does not deny %s (%q)", id, f, name)
			}
		}
	}
}

func TestAccessLogTellsNoSecret(t *testing.T) {
	for id, r := range template(t).resources() {
		format := fmt.Sprint(r.at("Properties", "AccessLogSettings", "Format"))
		for _, leak := range []string{"header", "authorizer", "querystring", "$context.path", "body"} {
			if strings.Contains(strings.ToLower(format), leak) {
				t.Errorf("%s logs %q", id, leak)
			}
		}
		if r.at("Properties", "CorsConfiguration") != nil {
			t.Errorf("%s answers browsers", id)
		}
	}
}

// node is a mapping of template.yaml. Short forms of intrinsic functions lose their tag: !GetAtt A.Arn reads "A.Arn",
// !If [C, a, b] reads as a list, !Sub as its text.
type node map[string]any

func template(t *testing.T) node {
	t.Helper()
	var n node
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), (*map[string]any)(&n)); err != nil {
		t.Fatal(err)
	}
	return n
}

// at walks down; nil when there is nothing.
func (n node) at(path ...string) any {
	var value any = map[string]any(n)
	for _, key := range path {
		m, _ := value.(map[string]any)
		value = m[key]
	}
	return value
}

func (n node) node(path ...string) node {
	m, _ := n.at(path...).(map[string]any)
	return m
}

func (n node) resources() map[string]node { return n.node("Resources").children() }

func (n node) functions() map[string]node {
	all := n.resources()
	maps.DeleteFunc(all, func(_ string, r node) bool { return r.at("Type") != "AWS::Serverless::Function" })
	return all
}

func (n node) events() map[string]node { return n.node("Properties", "Events").children() }

func (n node) children() map[string]node {
	all := map[string]node{}
	for key := range n {
		all[key] = n.node(key)
	}
	return all
}

// statements are all policy statements anywhere in a resource.
func statements(value any) []node {
	var found []node
	switch v := value.(type) {
	case node:
		return statements(map[string]any(v))
	case map[string]any:
		if v["Effect"] != nil {
			return []node{v}
		}
		for _, child := range v {
			found = append(found, statements(child)...)
		}
	case []any:
		for _, child := range v {
			found = append(found, statements(child)...)
		}
	}
	return found
}

// texts reads one string or a list of them.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, fmt.Sprint(item))
		}
		return all
	}
	return nil
}

// number is the first of values that is set, as an integer.
func number(t *testing.T, values ...any) int {
	t.Helper()
	for _, v := range values {
		var n int
		if v == nil {
			continue
		}
		if _, err := fmt.Sscan(fmt.Sprint(v), &n); err != nil {
			t.Fatalf("%v is not a number", v)
		}
		return n
	}
	t.Fatal("no number given")
	return 0
}

package tests

import (
	"go/ast"
	"strings"
	"testing"
)

// One place asks for logins: after a verified token and a decision. Another path would be a way round both.
func TestOnlyTheExchangeMints(t *testing.T) {
	const chokepoint = "shared/broker/exchange.go"
	found := map[string]int{}
	for _, file := range sources(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || under(file, "tests") || strings.Contains(file, "test/") {
			continue
		}
		_, tree := parse(t, file)
		ast.Inspect(tree, func(n ast.Node) bool {
			selected, ok := n.(*ast.SelectorExpr)
			if !ok || selected.Sel.Name != "Mint" {
				return true
			}
			if of, isName := selected.X.(*ast.Ident); !isName || of.Name != "engine" { // engine.Mint is the wish, not the deed
				found[file]++
			}
			return true
		})
	}
	if found[chokepoint] != 1 || len(found) != 1 {
		t.Errorf("minting is called from %v, want it once, from %s", found, chokepoint)
	}
}

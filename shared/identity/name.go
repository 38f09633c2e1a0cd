package identity

// Name gives a claim as text that can identify somebody: a printable string or an integer's digits, 1 to 255 bytes. It
// reports whether the claim is there and is such text; if not, the name is empty, so that no caller can take it for one.
func Name(claims map[string]any, claim string) (string, bool) {
	value, _ := Lookup(claims, claim)
	name, ok := text(value)
	if !ok {
		return "", false
	}
	return name, true
}

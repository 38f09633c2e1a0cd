package identity

// Name gives a claim as text that can identify somebody: a printable string or an integer's digits, 1 to 255 bytes. It
// reports whether the claim is there and is such text.
func Name(claims map[string]any, claim string) (string, bool) {
	value, ok := Lookup(claims, claim)
	if !ok {
		return "", false
	}
	name, ok := text(value)
	return name, ok && name != "" && len(name) <= maxText
}

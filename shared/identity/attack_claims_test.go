package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

func (a attacker) audiences() []attack {
	mismatch := func(name string, aud any) attack {
		return a.early("9 aud "+name, a.good.with("aud", aud), ReasonAudienceMismatch)
	}
	party := func(name string, claims object) attack {
		return a.bent("11 azp "+name, claims, ReasonAuthorizedPartyMismatch)
	}
	two := a.good.with("aud", []string{ourAudience, ourAudience})
	return []attack{
		mismatch("foreign", "https://other.example"),
		mismatch("foreign in an array", []string{"https://other.example"}),
		mismatch("empty array", []string{}),
		mismatch("empty text", ""),
		mismatch("prefix", ourAudience[:len(ourAudience)-1]),
		mismatch("longer", ourAudience+"/"),
		mismatch("wildcard", "*"),
		mismatch("list in one text", ourAudience+" https://other.example"),
		mismatch("other case", strings.ToUpper(ourAudience)),
		mismatch("10 of another deployment", "https://dbsts-2.example"),
		a.early("9 aud missing", a.good.without("aud"), ReasonAudienceMismatch),
		a.early("9 aud null", a.good.with("aud", nil), ReasonTokenMalformed),
		a.early("9 aud number", a.good.with("aud", 1), ReasonTokenMalformed),
		a.early("9 aud object", a.good.with("aud", object{ourAudience: true}), ReasonTokenMalformed),
		a.early("9 aud nested", a.good.with("aud", []any{[]string{ourAudience}}), ReasonTokenMalformed),
		a.early("9 aud with a null in it", a.good.with("aud", []any{ourAudience, nil}), ReasonTokenMalformed),
		a.bent("11 aud with a stranger", a.good.with("aud", []string{ourAudience, "x"}).with("azp", "spa"), ReasonAudienceMismatch),
		party("missing beside two audiences", two),
		party("foreign beside two audiences", two.with("azp", "evil")),
		party("foreign", a.good.with("azp", "evil")),
		party("null", a.good.with("azp", nil)),
		party("empty", a.good.with("azp", "")),
		party("list", a.good.with("azp", []string{"spa"})),
		a.bent("23 sub missing", a.good.without("sub"), ReasonSubjectInvalid),
		a.bent("23 sub empty", a.good.with("sub", ""), ReasonSubjectInvalid),
		a.bent("23 sub blank", a.good.with("sub", "  "), ReasonSubjectInvalid),
		a.bent("23 sub number", a.good.with("sub", 1), ReasonSubjectInvalid),
		a.bent("23 sub list", a.good.with("sub", []string{"alice"}), ReasonSubjectInvalid),
		a.bent("23 sub too long", a.good.with("sub", strings.Repeat("x", 256)), ReasonSubjectInvalid),
		a.bent("23 sub with a line break", a.good.with("sub", "alice\nbob"), ReasonSubjectInvalid),
		a.bent("23 sub with hidden text", a.good.with("sub", "alice\u202e"), ReasonSubjectInvalid),
		a.bent("23 sub damaged", a.good.with("sub", json.RawMessage(`"\udc00"`)), ReasonSubjectInvalid),
		a.bent("34 sid that cannot be named", a.good.with("sid", object{}), ReasonTokenMalformed),
	}
}

func (a attacker) times() []attack {
	at := func(d time.Duration) int64 { return a.now.Add(d).Unix() }
	list := []attack{
		a.early("13 exp missing", a.good.without("exp"), ReasonTokenMalformed),
		a.early("13 expired 30 s ago", a.good.with("exp", at(-30*time.Second)), ReasonTokenExpired),
		a.early("13 expired years ago", a.good.with("exp", 1), ReasonTokenExpired),
		a.bent("13 a century of life", a.good.with("exp", at(100*365*24*time.Hour)), ReasonTokenLivesTooLong),
		a.bent("13 the last second of 9999", a.good.with("exp", int64(lastSecond)), ReasonTokenLivesTooLong),
		a.bent("13 one second too long", a.good.with("exp", at(24*time.Hour-9*time.Second)), ReasonTokenLivesTooLong),
		a.bent("13 iat missing", a.good.without("iat"), ReasonTokenMalformed),
		a.bent("13 iat in 61 s", a.good.with("iat", at(61*time.Second)), ReasonTokenNotYetValid),
		a.bent("13 iat in 61 s beside an nbf", a.good.with("iat", at(61*time.Second)).with("nbf", at(0)), ReasonTokenNotYetValid),
		a.bent("13 iat an hour and a second ago", a.good.with("iat", at(-time.Hour-time.Second)), ReasonTokenTooOld),
		a.bent("13 iat 0", a.good.with("iat", 0), ReasonTokenTooOld),
		a.bent("13 nbf in 61 s", a.good.with("nbf", at(61*time.Second)), ReasonTokenNotYetValid),
	}
	for _, n := range []string{`"%d"`, "null", "true", "[%d]", "1e300", "1e999", "-1", "253402300800", `"1e3"`, "{}"} {
		if strings.Contains(n, "%d") {
			n = fmt.Sprintf(n, at(5*time.Minute))
		}
		list = append(list,
			a.early("16 exp "+n, a.good.with("exp", json.RawMessage(n)), ReasonTokenMalformed),
			a.bent("16 iat "+n, a.good.with("iat", json.RawMessage(n)), ReasonTokenMalformed),
			a.bent("16 nbf "+n, a.good.with("nbf", json.RawMessage(n)), ReasonTokenMalformed),
		)
	}
	return list
}

func (a attacker) kinds() []attack {
	claims := a.good.with("client_id", "app")
	kind := func(name, typ string, kind Kind) attack {
		header := object{"alg": "RS256", "kid": "r", "typ": typ}.json()
		return attack{name: "14 " + name, raw: signed("RS256", rsaKey(), header, claims.json()), reason: ReasonWrongTokenKind, kind: kind}
	}
	access := func(name string, claims object, reason string) attack {
		raw := signed("RS256", rsaKey(), `{"alg":"RS256","kid":"r","typ":"at+jwt"}`, claims.json())
		return attack{name: "14 access token " + name, raw: raw, reason: reason, fetches: 1, proven: true, kind: AccessToken}
	}
	list := []attack{
		kind("access token as ID token", "at+jwt", IDToken),
		kind("access token as JWT", "application/at+jwt", JWT),
		kind("ID token as access token", "JWT", AccessToken),
		kind("no kind announced", "JWT", Kind(9)),
		forged("14 typ empty", a.head(`{"alg":"RS256","kid":"r","typ":""}`), ReasonTokenMalformed),
		forged("14 typ null", a.head(`{"alg":"RS256","kid":"r","typ":null}`), ReasonTokenMalformed),
		access("without client_id", a.good, ReasonTokenMalformed),
		access("without jti", claims.without("jti"), ReasonTokenMalformed),
		access("that is an ID token", claims.with("typ", "ID"), ReasonWrongTokenKind),
		access("that Cognito calls id", claims.with("token_use", "id"), ReasonWrongTokenKind),
		a.bent("14 logout token", a.good.with("events", object{"http://schemas.openid.net/event/backchannel-logout": object{}}), ReasonWrongTokenKind),
		a.bent("14 events null", a.good.with("events", nil), ReasonWrongTokenKind),
		a.bent("14 Cognito access token", a.good.with("token_use", "access"), ReasonWrongTokenKind),
		a.bent("14 typ a number", a.good.with("typ", 1), ReasonWrongTokenKind),
		a.bent("12 bound to a key", a.good.with("cnf", object{"jkt": "x"}), ReasonSenderConstrained),
		a.bent("12 bound to null", a.good.with("cnf", nil), ReasonSenderConstrained),
	}
	for _, typ := range []string{"logout+jwt", "secevent+jwt", "dpop+jwt", "application/Logout+JWT", "vp+jwt", "JOSE", "jwt "} {
		for _, k := range []Kind{IDToken, JWT, AccessToken} {
			list = append(list, kind(fmt.Sprint("typ ", typ, " as kind ", k), typ, k))
		}
	}
	for _, typ := range []string{"Refresh", "Offline", "Logout", "Bearer", "refresh"} {
		list = append(list, a.bent("14 payload typ "+typ, a.good.with("typ", typ), ReasonWrongTokenKind))
	}
	return list
}

func (a attacker) json() []attack {
	good := a.good.json()
	more := func(name, members string) attack {
		return forged("15 "+name, a.body(good[:len(good)-1]+","+members+"}"), ReasonTokenMalformed)
	}
	list := []attack{
		more("aud twice", `"aud":"x"`), more("sub twice", `"sub":"admin"`), more("sub twice, escaped", `"s\u0075b":"admin"`),
		more("duplicate in depth", `"x":{"y":[{"z":1,"z":2}]}`), more("Sub beside sub", `"Sub":"admin"`),
		more("AUD beside aud", `"AUD":"x"`), more("ſub beside sub", `"ſub":"admin"`), more("toKen_use with a Kelvin sign", `"to\u212aen_use":"id"`),
		more("U+0000 in a value", `"x":"a\u0000b"`), more("U+0000 in a name", `"a\u0000b":1`), more("U+0000 in depth", `"x":[{"y":"\u0000"}]`),
		more("trailing comma", `"x":1,`), more("comment", `"x":1/* */`), more("single quotes", `'x':1`), more("NaN", `"x":NaN`), more("hex", `"x":0x10`), more("leading zero", `"x":01`),
		a.bent("15 nonce a number", a.good.with("nonce", 1), ReasonTokenMalformed),
		a.bent("22 _claim_names a list", a.good.with("_claim_names", []string{"groups"}), ReasonTokenMalformed),
	}
	for name, payload := range map[string]string{
		"byte order mark": "\ufeff" + good, "trailing data": good + "{}", "trailing bracket": good + "]", "an array": "[" + good + "]",
		"a text": `"x"`, "null": "null", "a number": "1", "cut": good[:len(good)-1], "not UTF-8": strings.Replace(good, "alice", "al\xffice", 1),
		"UTF-16": strings.Join(strings.Split(good, ""), "\x00"), "a raw control character": strings.Replace(good, "alice", "al\x01ice", 1),
		"nothing but blanks": "   ", "very deep": strings.Repeat("[", 12000),
	} {
		list = append(list, forged("15 payload "+name, a.body(payload), ReasonTokenMalformed))
	}
	for name, header := range map[string]string{
		"alg twice": `{"alg":"none","alg":"RS256","kid":"r"}`, "kid twice": `{"alg":"RS256","kid":"x","kid":"r"}`,
		"an array": `["RS256"]`, "trailing data": `{"alg":"RS256","kid":"r"} x`, "byte order mark": "\ufeff" + `{"alg":"RS256","kid":"r"}`,
		"too large": `{"alg":"RS256","kid":"r","x":"` + strings.Repeat("x", 1024) + `"}`, "null": "null", "Alg": `{"Alg":"RS256","kid":"r"}`,
	} {
		list = append(list, forged("15 header "+name, a.head(header), ReasonTokenMalformed))
	}
	return list
}

// texts are other spellings of a good token, and texts that are no token.
func (a attacker) texts() []attack {
	good := a.body(a.good.json())
	part := strings.Split(good, ".")
	last := good[len(good)-1]
	flat := object{"protected": part[0], "payload": part[1], "signature": part[2]}
	var list []attack
	for name, raw := range map[string]string{
		"12 leading blank": " " + good, "12 trailing line break": good + "\n", "12 line break inside": good[:20] + "\r\n" + good[20:],
		"12 tab": part[0] + ".\t" + part[1] + "." + part[2], "12 padding": part[0] + "." + part[1] + "." + part[2] + "==",
		"12 padded payload": part[0] + "." + part[1] + strings.Repeat("=", (4-len(part[1])%4)%4+1) + "." + part[2],
		"12 unused bits":    good[:len(good)-1] + string(rune(last+1)), "12 standard base64": part[0] + "." + part[1] + "." + base64.StdEncoding.EncodeToString([]byte("\xff\xef")),
		"12 flattened JSON": flat.json(), "12 general JSON": object{"payload": part[1], "signatures": []object{flat.without("payload")}}.json(),
		"12 Bearer before it": "Bearer " + good, "12 percent": strings.Replace(good, ".", "%2E", 1), "12 NUL": good + "\x00",
		"25 JWE of five parts": good + "." + part[1] + "." + part[2], "25 four parts": good + "." + part[1], "26 dots only": "..", "26 one part": part[0],
		"26 two parts": part[0] + "." + part[1], "26 empty": "", "26 empty header": "." + part[1] + "." + part[2], "26 empty payload": part[0] + ".." + part[2],
		"26 a million dots": strings.Repeat(".", 1_000_000), "26 5 MB": strings.Repeat("a", 5_000_000),
		"26 5 MB payload": part[0] + "." + strings.Repeat("A", 5_000_000) + "." + part[2], "26 one byte too much": part[0] + "." + strings.Repeat("A", maxToken-len(part[0])-len(part[2])-1) + "." + part[2],
	} {
		list = append(list, forged(name, raw, ReasonTokenMalformed))
	}
	return list
}

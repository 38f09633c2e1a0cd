package identitytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// What a token is presented as.
const (
	idToken     = "id_token"
	anyJWT      = "jwt"
	accessToken = "access_token"
)

const (
	longestToken = 16 << 10     // bytes that a token may have
	lastSecond   = 253402300799 // 9999-12-31T23:59:59Z
)

func (a attacker) audiences() []Attack {
	mismatch := func(name string, aud any) Attack {
		return a.early("9 aud "+name, a.good.With("aud", aud), reasonAudienceMismatch)
	}
	party := func(name string, claims Object) Attack {
		return a.bent("11 azp "+name, claims, reasonAuthorizedPartyMismatch)
	}
	two := a.good.With("aud", []string{Audience, Audience})
	return []Attack{
		mismatch("foreign", "https://other.example"),
		mismatch("foreign in an array", []string{"https://other.example"}),
		mismatch("empty array", []string{}),
		mismatch("empty text", ""),
		mismatch("prefix", Audience[:len(Audience)-1]),
		mismatch("longer", Audience+"/"),
		mismatch("wildcard", "*"),
		mismatch("list in one text", Audience+" https://other.example"),
		mismatch("other case", strings.ToUpper(Audience)),
		a.early("10 aud of another deployment", a.good.With("aud", "https://dbsts-2.example"), reasonAudienceMismatch),
		a.early("9 aud missing", a.good.Without("aud"), reasonAudienceMismatch),
		a.early("9 aud null", a.good.With("aud", nil), reasonTokenMalformed),
		a.early("9 aud number", a.good.With("aud", 1), reasonTokenMalformed),
		a.early("9 aud Object", a.good.With("aud", Object{Audience: true}), reasonTokenMalformed),
		a.early("9 aud nested", a.good.With("aud", []any{[]string{Audience}}), reasonTokenMalformed),
		a.early("9 aud with a null in it", a.good.With("aud", []any{Audience, nil}), reasonTokenMalformed),
		a.bent("11 aud with a stranger", a.good.With("aud", []string{Audience, "x"}).With("azp", "spa"), reasonAudienceMismatch),
		party("missing beside two audiences", two),
		party("foreign beside two audiences", two.With("azp", "evil")),
		party("foreign", a.good.With("azp", "evil")),
		party("null", a.good.With("azp", nil)),
		party("empty", a.good.With("azp", "")),
		party("list", a.good.With("azp", []string{"spa"})),
		a.bent("23 sub missing", a.good.Without("sub"), reasonSubjectInvalid),
		a.bent("23 sub empty", a.good.With("sub", ""), reasonSubjectInvalid),
		a.bent("23 sub blank", a.good.With("sub", "  "), reasonSubjectInvalid),
		a.bent("23 sub number", a.good.With("sub", 1), reasonSubjectInvalid),
		a.bent("23 sub list", a.good.With("sub", []string{"alice"}), reasonSubjectInvalid),
		a.bent("23 sub too long", a.good.With("sub", strings.Repeat("x", 256)), reasonSubjectInvalid),
		a.bent("23 sub with a line break", a.good.With("sub", "alice\nbob"), reasonSubjectInvalid),
		a.bent("23 sub with hidden text", a.good.With("sub", "alice\u202e"), reasonSubjectInvalid),
		a.bent("23 sub damaged", a.good.With("sub", json.RawMessage(`"\udc00"`)), reasonSubjectInvalid),
		a.bent("34 sid that cannot be named", a.good.With("sid", Object{}), reasonTokenMalformed),
	}
}

func (a attacker) times() []Attack {
	at := func(d time.Duration) int64 { return a.now.Add(d).Unix() }
	list := []Attack{
		a.early("13 exp missing", a.good.Without("exp"), reasonTokenMalformed),
		a.early("13 expired 30 s ago", a.good.With("exp", at(-30*time.Second)), reasonTokenExpired),
		a.early("13 expired years ago", a.good.With("exp", 1), reasonTokenExpired),
		a.bent("13 a century of life", a.good.With("exp", at(100*365*24*time.Hour)), reasonTokenLivesTooLong),
		a.bent("13 the last second of 9999", a.good.With("exp", int64(lastSecond)), reasonTokenLivesTooLong),
		a.bent("13 one second too long", a.good.With("exp", at(24*time.Hour-9*time.Second)), reasonTokenLivesTooLong),
		a.bent("13 iat missing", a.good.Without("iat"), reasonTokenMalformed),
		a.bent("13 iat in 61 s", a.good.With("iat", at(61*time.Second)), reasonTokenNotYetValid),
		a.bent("13 iat in 61 s beside an nbf", a.good.With("iat", at(61*time.Second)).With("nbf", at(0)), reasonTokenNotYetValid),
		a.bent("13 iat an hour and a second ago", a.good.With("iat", at(-time.Hour-time.Second)), reasonTokenTooOld),
		a.bent("13 iat 0", a.good.With("iat", 0), reasonTokenTooOld),
		a.bent("13 nbf in 61 s", a.good.With("nbf", at(61*time.Second)), reasonTokenNotYetValid),
	}
	for _, n := range []string{`"%d"`, "null", "true", "[%d]", "1e300", "1e999", "-1", "253402300800", `"1e3"`, "{}"} {
		if strings.Contains(n, "%d") {
			n = fmt.Sprintf(n, at(5*time.Minute))
		}
		list = append(list,
			a.early("16 exp "+n, a.good.With("exp", json.RawMessage(n)), reasonTokenMalformed),
			a.bent("16 iat "+n, a.good.With("iat", json.RawMessage(n)), reasonTokenMalformed),
			a.bent("16 nbf "+n, a.good.With("nbf", json.RawMessage(n)), reasonTokenMalformed),
		)
	}
	return list
}

func (a attacker) kinds() []Attack {
	claims := a.good.With("client_id", "app")
	kind := func(name, typ, kind string) Attack {
		header := Object{"alg": "RS256", "kid": "r", "typ": typ}.JSON()
		return Attack{Name: "14 " + name, Raw: Signed("RS256", RSAKey(), header, claims.JSON()), Reason: reasonWrongTokenKind, Kind: kind}
	}
	access := func(name string, claims Object, reason string) Attack {
		raw := Signed("RS256", RSAKey(), `{"alg":"RS256","kid":"r","typ":"at+jwt"}`, claims.JSON())
		return Attack{Name: "14 access token " + name, Raw: raw, Reason: reason, Fetches: 1, Proven: true, Kind: accessToken}
	}
	list := []Attack{
		kind("access token as ID token", "at+jwt", idToken),
		kind("access token as JWT", "application/at+jwt", anyJWT),
		kind("ID token as access token", "JWT", accessToken),
		forged("14 typ empty", a.head(`{"alg":"RS256","kid":"r","typ":""}`), reasonTokenMalformed),
		forged("14 typ null", a.head(`{"alg":"RS256","kid":"r","typ":null}`), reasonTokenMalformed),
		access("without client_id", a.good, reasonTokenMalformed),
		access("without jti", claims.Without("jti"), reasonTokenMalformed),
		access("that is an ID token", claims.With("typ", "ID"), reasonWrongTokenKind),
		access("that Cognito calls id", claims.With("token_use", "id"), reasonWrongTokenKind),
		a.bent("14 logout token", a.good.With("events", Object{"http://schemas.openid.net/event/backchannel-logout": Object{}}), reasonWrongTokenKind),
		a.bent("14 events null", a.good.With("events", nil), reasonWrongTokenKind),
		a.bent("14 Cognito access token", a.good.With("token_use", "access"), reasonWrongTokenKind),
		a.bent("14 typ a number", a.good.With("typ", 1), reasonWrongTokenKind),
		a.bent("12 bound to a key", a.good.With("cnf", Object{"jkt": "x"}), reasonSenderConstrained),
		a.bent("12 bound to null", a.good.With("cnf", nil), reasonSenderConstrained),
	}
	for _, typ := range []string{"logout+jwt", "secevent+jwt", "dpop+jwt", "application/Logout+JWT", "vp+jwt", "JOSE", "jwt "} {
		for _, k := range []string{idToken, anyJWT, accessToken} {
			list = append(list, kind("typ "+typ+" as "+k, typ, k))
		}
	}
	for _, typ := range []string{"Refresh", "Offline", "Logout", "Bearer", "refresh"} {
		list = append(list, a.bent("14 payload typ "+typ, a.good.With("typ", typ), reasonWrongTokenKind))
	}
	return list
}

func (a attacker) json() []Attack {
	good := a.good.JSON()
	more := func(name, members string) Attack {
		return forged("15 "+name, a.body(good[:len(good)-1]+","+members+"}"), reasonTokenMalformed)
	}
	list := []Attack{
		more("aud twice", `"aud":"x"`), more("sub twice", `"sub":"admin"`), more("sub twice, escaped", `"s\u0075b":"admin"`),
		more("duplicate in depth", `"x":{"y":[{"z":1,"z":2}]}`), more("Sub beside sub", `"Sub":"admin"`),
		more("AUD beside aud", `"AUD":"x"`), more("ſub beside sub", `"ſub":"admin"`), more("toKen_use with a Kelvin sign", `"to\u212aen_use":"id"`),
		more("U+0000 in a value", `"x":"a\u0000b"`), more("U+0000 in a name", `"a\u0000b":1`), more("U+0000 in depth", `"x":[{"y":"\u0000"}]`),
		more("trailing comma", `"x":1,`), more("comment", `"x":1/* */`), more("single quotes", `'x':1`), more("NaN", `"x":NaN`),
		more("hex", `"x":0x10`), more("leading zero", `"x":01`),
		a.bent("15 nonce a number", a.good.With("nonce", 1), reasonTokenMalformed),
		a.bent("22 _claim_names a list", a.good.With("_claim_names", []string{"groups"}), reasonTokenMalformed),
	}
	for name, payload := range map[string]string{
		"byte order mark": "\ufeff" + good, "trailing data": good + "{}", "trailing bracket": good + "]", "an array": "[" + good + "]",
		"a text": `"x"`, "null": "null", "a number": "1", "cut": good[:len(good)-1], "not UTF-8": strings.Replace(good, "alice", "al\xffice", 1),
		"UTF-16": strings.Join(strings.Split(good, ""), "\x00"), "a raw control character": strings.Replace(good, "alice", "al\x01ice", 1),
		"nothing but blanks": "   ", "very deep": strings.Repeat("[", 12000),
	} {
		list = append(list, forged("15 payload "+name, a.body(payload), reasonTokenMalformed))
	}
	for name, header := range map[string]string{
		"alg twice": `{"alg":"none","alg":"RS256","kid":"r"}`, "kid twice": `{"alg":"RS256","kid":"x","kid":"r"}`,
		"an array": `["RS256"]`, "trailing data": `{"alg":"RS256","kid":"r"} x`, "byte order mark": "\ufeff" + `{"alg":"RS256","kid":"r"}`,
		"too large": `{"alg":"RS256","kid":"r","x":"` + strings.Repeat("x", 1024) + `"}`, "null": "null", "Alg": `{"Alg":"RS256","kid":"r"}`,
	} {
		list = append(list, forged("15 header "+name, a.head(header), reasonTokenMalformed))
	}
	return list
}

// texts are other spellings of a good token, and texts that are no token.
func (a attacker) texts() []Attack {
	good := a.body(a.good.JSON())
	part := strings.Split(good, ".")
	last := good[len(good)-1]
	flat := Object{"protected": part[0], "payload": part[1], "signature": part[2]}
	var list []Attack
	for name, raw := range map[string]string{
		"12 leading blank":       " " + good,
		"12 trailing line break": good + "\n",
		"12 line break inside":   good[:20] + "\r\n" + good[20:],
		"12 tab":                 part[0] + ".\t" + part[1] + "." + part[2],
		"12 padding":             good + "==",
		"12 padded payload":      part[0] + "." + part[1] + strings.Repeat("=", (4-len(part[1])%4)%4+1) + "." + part[2],
		"12 unused bits":         good[:len(good)-1] + string(rune(last+1)),
		"12 standard base64":     part[0] + "." + part[1] + "." + base64.StdEncoding.EncodeToString([]byte("\xff\xef")),
		"12 flattened JSON":      flat.JSON(),
		"12 general JSON":        Object{"payload": part[1], "signatures": []Object{flat.Without("payload")}}.JSON(),
		"12 Bearer before it":    "Bearer " + good,
		"12 percent":             strings.Replace(good, ".", "%2E", 1),
		"12 NUL":                 good + "\x00",
		"25 JWE of five parts":   good + "." + part[1] + "." + part[2],
		"25 four parts":          good + "." + part[1],
		"26 dots only":           "..",
		"26 one part":            part[0],
		"26 two parts":           part[0] + "." + part[1],
		"26 empty":               "",
		"26 empty header":        "." + part[1] + "." + part[2],
		"26 empty payload":       part[0] + ".." + part[2],
		"26 a million dots":      strings.Repeat(".", 1_000_000),
		"26 5 MB":                strings.Repeat("a", 5_000_000),
		"26 5 MB payload":        part[0] + "." + strings.Repeat("A", 5_000_000) + "." + part[2],
		"26 one byte too much":   part[0] + "." + strings.Repeat("A", longestToken-len(part[0])-len(part[2])-1) + "." + part[2],
	} {
		list = append(list, forged(name, raw, reasonTokenMalformed))
	}
	return list
}

package oauth_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"dbsts/shared/oauth"
)

func FuzzAFormIsReadSafelyOrRefused(f *testing.F) {
	good := fields(nil).Encode()
	for _, body := range []string{
		"", good, good + "&scope=a+b+fmt%3Adsn&ttl=60&reason=INC-1", good + "&scope=a&scope=b", good + "&audience=shop",
		good + "&resource=https%3A%2F%2Fsts.example%2Fdb%2Fshop", good + "&reason=%00", good + "&reason=%C2%85", good + "&scope=%FF",
		good + "&resource=https%3A%2F%2Fsts.example%2Fdb%2F%250A", good + ";a=b", "&&&=&=", "token=" + minted, "%zz",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		_, _ = oauth.ParseRevocation(posted(body))
		x, err := oauth.ParseExchange(posted(body), base)
		if err != nil {
			if reply := oauth.FromError(err, "r"); reply.Status < 400 || reply.Status > 499 {
				t.Fatalf("%v became %d", err, reply.Status)
			}
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("accepted a broken form: %v", err)
		}
		for name, list := range values {
			if len(list) > 1 && name != "audience" && name != "resource" {
				t.Errorf("accepted %q %d times", name, len(list))
			}
		}
		text := fmt.Sprint(x.Token.Reveal(), x.Target, strings.Join(x.Roles, ""), x.Reason, x.TokenType)
		if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
			t.Errorf("accepted hostile text: %q", text)
		}
		if x.Token.Empty() || x.Target == "" || x.Kind == 0 || x.Lifetime < 0 || len(x.Roles) > 20 {
			t.Errorf("accepted half a request: %+v", x)
		}
	})
}

package opendb

import (
	"net/url"
	"slices"
	"strings"
)

// secrets are the passwords in a URL: the user's, and those among the parameters.
func secrets(u *url.URL) (found []string) {
	password, _ := u.User.Password()
	found = append(found, password)
	for name, values := range u.Query() {
		if strings.Contains(strings.ToLower(name), "pass") {
			found = append(found, values...)
		}
	}
	return slices.DeleteFunc(found, func(s string) bool { return s == "" })
}

// Redact hides the passwords in the text of an error; what it wraps is still found.
func (d DSN) Redact(err error) error {
	if err == nil || len(d.secrets) == 0 {
		return err
	}
	var pairs []string
	for _, s := range d.secrets {
		pairs = append(pairs, s, "***", url.QueryEscape(s), "***", url.PathEscape(s), "***")
	}
	return redacted{err, strings.NewReplacer(pairs...)}
}

type redacted struct {
	error
	hide *strings.Replacer
}

func (r redacted) Error() string { return r.hide.Replace(r.error.Error()) }
func (r redacted) Unwrap() error { return r.error }

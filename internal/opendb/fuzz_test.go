package opendb

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse: a DSN is read or refused, whatever it is, and neither what is shown of it nor an
// error has the password.
func FuzzParse(f *testing.F) {
	for _, dsn := range []string{
		"", ":", "sqlite:", "sqlite::memory:", "sqlite:a b?c#d%.db", "sqlite:\x00", "postgres://u:S3cret-word@h:5432/d?sslmode=disable",
		"postgresql://u@h/d?password=S3cret-word&sslpassword=another1", "postgres://u:S3cret-word@h:99999/d", "postgres://u:S3cret-word@h/d?connect_timeout=S3cret-word",
		"mysql://u:S3cret-word@h/d?timeout=x", "mysql://u:S3cret-word@[::1]:3306/d?tls=S3cret-word", "mariadb://u:%zz@h/d", "mysql://u:S3cret-word@h/", "mysql://:@/",
		"postgres://u:p@h:5432,i:5433/d", "MYSQL://u:p@h/d", "mysql://u:S3cret%20word%2F%00@h/d?charset=utf8mb4%00", "postgres://u:S3cret-word@h/d?sslmode=S3cret-word", "mysql://u:S3cret-word@h/d?loc=Nowhere",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		read, err := Parse(dsn)
		hidden := secret(dsn)
		if err != nil {
			require.ErrorIs(t, err, ErrDSN)
			hides(t, err.Error(), hidden)
			return
		}
		hides(t, read.String(), hidden)
		if read.file != "" {
			return
		}
		if _, err := read.dialector(false); err != nil {
			hides(t, read.Redact(err).Error(), hidden)
		}
	})
}

// secret is the password of a DSN that is long enough not to be part of a message by chance.
func secret(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	elsewhere := forms + u.User.Username() + u.Host + u.Path + u.Scheme
	if len(password) < 8 || strings.Contains(elsewhere, password) {
		return ""
	}
	return password
}

func hides(t *testing.T, text, password string) {
	if password != "" {
		require.NotContains(t, text, password)
	}
}

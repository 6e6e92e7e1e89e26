// Package opendb opens a database from the command's form of DSN. It is the only package of
// usher, but for the tests, that imports GORM's drivers.
package opendb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	gomysql "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/locking"
)

// ErrDSN is returned for a DSN that cannot be read.
var ErrDSN = errors.New("wrong DSN")

const forms = "use sqlite:PATH, postgres://USER:PASSWORD@HOST:PORT/DATABASE or mysql://USER:PASSWORD@HOST:PORT/DATABASE"

// DSN is where a database is. Its String has no password.
type DSN struct {
	shown     string
	password  string
	dialector func() (gorm.Dialector, error)
}

// Parse reads a DSN. The error never repeats it, since it may hold a password.
func Parse(dsn string) (DSN, error) {
	scheme, rest, found := strings.Cut(dsn, ":")
	switch {
	case !found:
		return DSN{}, fmt.Errorf("%w: %s", ErrDSN, forms)
	case scheme == "sqlite":
		return parseSQLite(rest)
	case scheme != "postgres" && scheme != "postgresql" && scheme != "mysql" && scheme != "mariadb":
		return DSN{}, fmt.Errorf("%w: unknown kind of database: %s", ErrDSN, forms)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return DSN{}, fmt.Errorf("%w: it is no URL (is a special character in the password not percent-encoded?): %s", ErrDSN, forms)
	}
	if u.Hostname() == "" {
		return DSN{}, fmt.Errorf("%w: it names no host: %s", ErrDSN, forms)
	}
	if strings.Trim(u.Path, "/") == "" {
		return DSN{}, fmt.Errorf("%w: it names no database: %s", ErrDSN, forms)
	}
	d := DSN{shown: shown(u)}
	d.password, _ = u.User.Password()
	if strings.HasPrefix(scheme, "postgres") {
		d.dialector = func() (gorm.Dialector, error) { return postgresDialector(u), nil }
	} else {
		d.dialector = func() (gorm.Dialector, error) { return mysqlDialector(u) }
	}
	return d, nil
}

// shown is the URL without password and parameters, which may hold one too.
func shown(u *url.URL) string {
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		clean.User = url.User(name)
	}
	return clean.String()
}

func parseSQLite(path string) (DSN, error) {
	if path == "" || path == ":memory:" {
		return DSN{}, fmt.Errorf("%w: SQLite needs a file, which all schedulers share: sqlite:PATH", ErrDSN)
	}
	return DSN{shown: "sqlite:" + path, dialector: func() (gorm.Dialector, error) { return SQLite(sqliteDriver, path), nil }}, nil
}

func postgresDialector(u *url.URL) gorm.Dialector {
	with := *u
	q := with.Query()
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "10")
	}
	with.RawQuery = q.Encode()
	return postgres.Open(with.String())
}

// mysqlDialector has the parameters that usher relies on, unless the DSN says otherwise:
// times in UTC, and values put into the statement, which saves a round trip for each.
func mysqlDialector(u *url.URL) (gorm.Dialector, error) {
	q := u.Query()
	for name, value := range map[string]string{"parseTime": "true", "loc": "UTC", "interpolateParams": "true", "timeout": "10s", "charset": "utf8mb4"} {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	config, err := gomysql.ParseDSN("/?" + q.Encode())
	if err != nil {
		return nil, fmt.Errorf("%w: parameters after the ?: %w", ErrDSN, err)
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr += ":3306"
	}
	config.DBName = strings.Trim(u.Path, "/")
	config.Logger = &gomysql.NopLogger{}
	return mysql.New(mysql.Config{DSNConfig: config}), nil
}

// String is the DSN without password and parameters.
func (d DSN) String() string { return d.shown }

// Open connects, and installs usher's plugin. The caller closes the *sql.DB of the result.
// No error of it shows the password.
func (d DSN) Open(options ...locking.Option) (*gorm.DB, error) {
	dialector, err := d.dialector()
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err == nil {
		err = db.Use(locking.New(options...))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d, d.Redact(err))
	}
	return db, nil
}

// Redact hides the password in the text of an error; what it wraps is still found.
func (d DSN) Redact(err error) error {
	if err == nil || d.password == "" {
		return err
	}
	return redacted{err, strings.NewReplacer(d.password, "***", url.QueryEscape(d.password), "***", url.PathEscape(d.password), "***")}
}

type redacted struct {
	error
	hide *strings.Replacer
}

func (r redacted) Error() string { return r.hide.Replace(r.error.Error()) }
func (r redacted) Unwrap() error { return r.error }

// Package opendb opens a database from the command's form of DSN. It is the only package of
// usher, but for the tests, that imports GORM's drivers.
package opendb

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	gomysql "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/locking"
)

// ErrDSN is returned for a DSN that cannot be read.
var ErrDSN = errors.New("wrong DSN")

const forms = "use sqlite:PATH, postgres://USER:PASSWORD@HOST:PORT/DATABASE or mysql://USER:PASSWORD@HOST:PORT/DATABASE"

// ErrNoDatabase is returned by Open when the file is not there and is not to be made.
var ErrNoDatabase = errors.New("no database")

// DSN is where a database is. Its String has no password. The zero value is no database.
type DSN struct {
	shown     string
	file      string   // of SQLite
	existing  bool     // the file must be there
	secrets   []string // passwords
	dialector func(existing bool) (gorm.Dialector, error)
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
	if port, err := strconv.Atoi(cmp.Or(u.Port(), "1")); err != nil || port < 1 || port > 65535 {
		return DSN{}, fmt.Errorf("%w: the port is none of 1 to 65535: %s", ErrDSN, forms)
	}
	if strings.Trim(u.Path, "/") == "" {
		return DSN{}, fmt.Errorf("%w: it names no database: %s", ErrDSN, forms)
	}
	d := DSN{shown: shown(u), secrets: secrets(u)}
	if strings.HasPrefix(scheme, "postgres") {
		d.dialector = func(bool) (gorm.Dialector, error) { return postgresDialector(u) }
	} else {
		d.dialector = func(bool) (gorm.Dialector, error) { return mysqlDialector(u) }
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
	dialector := func(existing bool) (gorm.Dialector, error) { return sqliteFile(sqliteDriver, path, existing), nil }
	return DSN{shown: "sqlite:" + path, file: path, dialector: dialector}, nil
}

func postgresDialector(u *url.URL) (gorm.Dialector, error) {
	with := *u
	q := with.Query()
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "10")
	}
	with.RawQuery = q.Encode()
	if _, err := pgconn.ParseConfig(with.String()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDSN, err)
	}
	return postgres.Open(with.String()), nil
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
	config.Logger = &gomysql.NopLogger{} // what goes wrong comes as an error
	connector, err := gomysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDSN, err)
	}
	return mysql.New(mysql.Config{Conn: sql.OpenDB(connector)}), nil
}

// String is the DSN without password and parameters.
func (d DSN) String() string { return d.shown }

// Existing is the same database, which must be there: Open does not make its file.
func (d DSN) Existing() DSN {
	d.existing = true
	return d
}

// Dialector is GORM's for the database. It returns [ErrDSN] for parameters that are wrong.
func (d DSN) Dialector() (gorm.Dialector, error) {
	dialector, err := d.dialector(d.existing)
	return dialector, d.Redact(err)
}

// Open connects, and installs usher's plugin. The caller closes the *sql.DB of the result.
// No error of it shows a password. It returns [ErrDSN] for parameters that are wrong, and
// [ErrNoDatabase].
func (d DSN) Open(options ...locking.Option) (*gorm.DB, error) {
	dialector, err := d.Dialector()
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err == nil {
		err = db.Use(locking.New(options...))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d, d.Redact(d.missing(err)))
	}
	return db, nil
}

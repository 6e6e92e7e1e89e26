// Package testdb makes fresh databases on real servers for the tests. Only tests import it.
package testdb

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/locking"
)

// Database is a fresh and empty database, which goes away when the test ends.
type Database struct {
	// Engine is "SQLite (mattn)", "SQLite (modernc)", "PostgreSQL", "MySQL" or "MariaDB".
	Engine string
	// DSN is the database in the command's form.
	DSN string
	// Driver is the name of SQLite's driver in database/sql; empty for other engines.
	Driver string
	// RowLocks tells whether the engine locks rows.
	RowLocks bool
}

// SQLite makes a file for the driver "sqlite3" (mattn) or "sqlite" (modernc).
func SQLite(t testing.TB, driver string) Database {
	name := map[string]string{"sqlite3": "SQLite (mattn)", "sqlite": "SQLite (modernc)"}[driver]
	require.NotEmpty(t, name, "unknown driver %q", driver)
	return Database{Engine: name, DSN: "sqlite:" + filepath.Join(t.TempDir(), "usher.db"), Driver: driver}
}

// PostgreSQL makes a database on the server of USHER_TEST_POSTGRES.
func PostgreSQL(t testing.TB) Database { return onServer(t, "PostgreSQL", "USHER_TEST_POSTGRES") }

// MySQL makes a database on the server of USHER_TEST_MYSQL.
func MySQL(t testing.TB) Database { return onServer(t, "MySQL", "USHER_TEST_MYSQL") }

// MariaDB makes a database on the server of USHER_TEST_MARIADB.
func MariaDB(t testing.TB) Database { return onServer(t, "MariaDB", "USHER_TEST_MARIADB") }

// PgBouncer is a database of PostgreSQL by way of USHER_TEST_PGBOUNCER.
func (d Database) PgBouncer(t testing.TB) Database {
	u, err := url.Parse(os.Getenv("USHER_TEST_PGBOUNCER"))
	require.NoError(t, err)
	require.NotEmpty(t, u.Host, "set USHER_TEST_PGBOUNCER to a DSN by way of PgBouncer, or run make test")
	own, err := url.Parse(d.DSN)
	require.NoError(t, err)
	u.Path = own.Path
	d.DSN = u.String()
	return d
}

func onServer(t testing.TB, engine, variable string) Database {
	dsn := os.Getenv(variable)
	if dsn == "" {
		t.Fatalf("no %s: set %s to a DSN whose user may create databases, or run make test", engine, variable)
	}
	return On(t, engine, dsn)
}

// On makes a database on the server of a DSN whose user may create databases.
func On(t testing.TB, engine, dsn string) Database {
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	name := "usher_test_" + strings.ToLower(rand.Text()[:12])
	server := open(t, Database{Engine: engine, DSN: dsn})
	require.NoError(t, server.Exec("CREATE DATABASE "+name).Error)
	t.Cleanup(func() {
		drop := "DROP DATABASE " + name
		if engine == "PostgreSQL" {
			drop += " WITH (FORCE)"
		}
		require.NoError(t, server.Exec(drop).Error)
	})
	u.Path = "/" + name
	return Database{Engine: engine, DSN: u.String(), RowLocks: true}
}

// Open opens the database with usher's plugin, in a pool of its own that is closed when the test ends.
func (d Database) Open(t testing.TB, options ...locking.Option) *gorm.DB {
	return open(t, d, options...)
}

func open(t testing.TB, d Database, options ...locking.Option) *gorm.DB {
	db, err := d.Connect(options...)
	require.NoError(t, err)
	return closing(t, db)
}

// closing closes the pool when the test ends.
func closing(t testing.TB, db *gorm.DB) *gorm.DB {
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	t.Cleanup(func() {
		if err := pool.Close(); dialect.Classify(db.Dialector, err) != dialect.Lost { // by a server that the test has crashed
			require.NoError(t, err)
		}
	})
	return db
}

// Connect is Open for a process of its own, which has no test to end.
func (d Database) Connect(options ...locking.Option) (*gorm.DB, error) {
	dialector, err := d.dialector()
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.DSN, err)
	}
	return db, db.Use(locking.New(options...))
}

// Bare is Open without usher's plugin, in GORM's configuration of the application's own.
func (d Database) Bare(t testing.TB, config *gorm.Config) *gorm.DB {
	dialector, err := d.dialector()
	require.NoError(t, err)
	return Through(t, dialector, config)
}

// Through is Bare by a dialector of the application's own.
func Through(t testing.TB, dialector gorm.Dialector, config *gorm.Config) *gorm.DB {
	if config.Logger == nil {
		config.Logger = logger.Discard
	}
	db, err := gorm.Open(dialector, config)
	require.NoError(t, err)
	return closing(t, db)
}

func (d Database) dialector() (gorm.Dialector, error) {
	if d.Driver != "" {
		return opendb.SQLite(d.Driver, strings.TrimPrefix(d.DSN, "sqlite:")), nil
	}
	dsn, err := opendb.Parse(d.DSN)
	if err != nil {
		return nil, err
	}
	return dsn.Dialector()
}

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/locking"
)

// engine is a kind of database to measure on.
type engine struct {
	name     string // as in -engines
	label    string // as in the tables
	variable string // holds the DSN of the server, whose user may create databases
	driver   string // of SQLite
}

var engines = []engine{
	{"postgres", "PostgreSQL", "USHER_TEST_POSTGRES", ""},
	{"mysql", "MySQL", "USHER_TEST_MYSQL", ""},
	{"mariadb", "MariaDB", "USHER_TEST_MARIADB", ""},
	{"sqlite-mattn", "SQLite (mattn)", "", "sqlite3"},
	{"sqlite-modernc", "SQLite (modernc)", "", "sqlite"},
}

// database is one of an engine's databases.
type database struct {
	engine
	DSN string // of the command's form; for SQLite the path of the file
	db  *gorm.DB
	sql *sql.DB
}

// open makes the database unless it is there, and reports whether it was.
func (e engine) open(ctx context.Context, name, folder string) (*database, error) {
	if e.driver != "" {
		return e.connect(filepath.Join(folder, e.name+"_"+name+".db"))
	}
	u, err := url.Parse(os.Getenv(e.variable))
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("set %s to the DSN of a server whose user may create databases: eval \"$(tests/servers.sh up)\"", e.variable)
	}
	server, err := e.connect(u.String())
	if err != nil {
		return nil, err
	}
	defer server.close()
	u.Path = "/usher_bench_" + name
	if err := server.db.WithContext(ctx).Exec("CREATE DATABASE " + u.Path[1:]).Error; err != nil && !strings.Contains(err.Error(), "exist") {
		return nil, err
	}
	return e.connect(u.String())
}

// connect opens a database that exists.
func (e engine) connect(dsn string) (*database, error) {
	db, err := e.dial(dsn)
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	return &database{e, dsn, db, pool}, nil
}

func (e engine) dial(dsn string) (*gorm.DB, error) {
	if e.driver == "" {
		parsed, err := opendb.Parse(dsn)
		if err != nil {
			return nil, err
		}
		return parsed.Open()
	}
	db, err := gorm.Open(opendb.SQLite(e.driver, dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	return db, db.Use(locking.New())
}

// giveCache lets the engine keep so many MB of pages in memory. PostgreSQL would have to be started
// anew for that. SQLite's is of a connection: the one that the workloads use in turn.
func (d *database) giveCache(ctx context.Context, megabytes int) error {
	statement := map[string]string{"mysql": "SET GLOBAL innodb_buffer_pool_size = %d * 1048576", "sqlite": "PRAGMA cache_size = -%d000"}[d.db.Name()]
	if megabytes == 0 || statement == "" {
		return nil
	}
	_, err := d.sql.ExecContext(ctx, fmt.Sprintf(statement, megabytes))
	return err
}

// drop deletes the database.
func (d *database) drop() error {
	d.close()
	if d.driver != "" {
		return os.RemoveAll(d.DSN)
	}
	u, err := url.Parse(d.DSN)
	if err != nil {
		return err
	}
	server, err := d.connect(os.Getenv(d.variable))
	if err != nil {
		return err
	}
	defer server.close()
	return server.db.Exec("DROP DATABASE " + u.Path[1:]).Error
}

func (d *database) close() { _ = d.sql.Close() }

package dialect_test

import (
	"context"
	"database/sql"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/internal/testdb"
)

// engine is a fresh database, and the server behind it as usher found it.
type engine struct {
	*testing.T
	testdb.Database
	ctx    context.Context
	db     *gorm.DB
	server *dialect.Server
}

func onEngine(t *testing.T, open func(testing.TB) testdb.Database, cases ...map[string]func(*engine)) {
	for _, some := range cases {
		for name, test := range some {
			t.Run(name, func(t *testing.T) {
				d := open(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // against hanging
				t.Cleanup(cancel)
				e := &engine{T: t, Database: d, ctx: ctx, db: d.Open(t).WithContext(ctx)}
				server, err := dialect.Detect(ctx, e.db)
				require.NoError(t, err)
				e.server = server
				test(e)
			})
		}
	}
}

func onSQLite(driver string) func(testing.TB) testdb.Database {
	return func(t testing.TB) testdb.Database { return testdb.SQLite(t, driver) }
}

func TestSQLiteModernc(t *testing.T) {
	onEngine(t, onSQLite("sqlite"), everyEngine, ofSQLite)
}

func TestPostgreSQL(t *testing.T) {
	onEngine(t, testdb.PostgreSQL, everyEngine, ofServers, ofPostgreSQL)
}

func TestMySQL(t *testing.T) {
	onEngine(t, testdb.MySQL, everyEngine, ofServers, ofMySQLFamily, ofMySQL)
}

func TestMariaDB(t *testing.T) {
	onEngine(t, testdb.MariaDB, everyEngine, ofServers, ofMySQLFamily, ofMariaDB)
}

var everyEngine = map[string]func(*engine){
	"detect":                 detect,
	"detect in dry run":      detectInDryRun,
	"detect after an error":  detectAfterError,
	"detect, cancelled":      detectCancelled,
	"detect in transactions": detectInTransaction,
	"settings":               settings,
	"clock":                  clock,
	"tables":                 tables,
	"duplicate":              duplicate,
	"missing":                missing,
	"exists":                 exists,
	"cancelled":              cancelled,
}

// detect finds what the server says of itself, asked in another way.
func detect(e *engine) {
	if e.Driver != "" {
		require.Equal(e, []string{"SQLite", "single writer"}, []string{e.server.Engine, e.server.Strategy.String()})
		require.True(e, e.server.Version.AtLeast(3, 24, 0), e.server.Version)
		require.Nil(e, e.server.TxOptions())
		return
	}
	require.Equal(e, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, e.server.TxOptions())
	require.Equal(e, []string{e.Engine, "skip locked", ""}, []string{e.server.Engine, e.server.Strategy.String(), e.server.Cluster})
	var version string
	require.NoError(e, e.db.Raw("SELECT VERSION()").Scan(&version).Error)
	require.Contains(e, e.server.Banner, version)
	require.Positive(e, e.server.Version.Major)
}

func detectInDryRun(e *engine) {
	server, err := dialect.Detect(e.ctx, e.db.Session(&gorm.Session{DryRun: true}))
	require.NoError(e, err)
	require.Equal(e, e.server, server)
}

// detectAfterError: a *gorm.DB keeps the error of a transaction that could not begin.
func detectAfterError(e *engine) {
	failed := e.db.Exec("SELECT nonsense FROM nowhere")
	require.Error(e, failed.Error)
	_, err := dialect.Detect(e.ctx, failed)
	require.ErrorIs(e, err, failed.Error)
}

func detectCancelled(e *engine) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err := dialect.Detect(ctx, e.db)
	require.ErrorIs(e, err, context.Canceled)
	require.ErrorContains(e, err, "detect engine: ")
}

// detectInTransaction needs no connection but that of the transaction.
func detectInTransaction(e *engine) {
	pool, err := e.db.DB()
	require.NoError(e, err)
	pool.SetMaxOpenConns(1)
	tx := e.db.Begin()
	require.NoError(e, tx.Error)
	server, err := dialect.Detect(e.ctx, tx)
	require.NoError(e, err)
	require.Equal(e, e.server, server)
	require.NoError(e, tx.Commit().Error)
}

// settings are found, and those that hurt come with advice.
func settings(e *engine) {
	durable := map[string]string{"SQLite": "synchronous", "PostgreSQL": "synchronous_commit", "MySQL": "innodb_flush_log_at_trx_commit", "MariaDB": "innodb_flush_log_at_trx_commit"}[e.server.Engine]
	found, err := e.server.Settings(e.ctx, e.db)
	require.NoError(e, err)
	names := map[string]bool{}
	for _, s := range found {
		names[s.Name] = true
		require.NotEmpty(e, s.Value, s.Name)
	}
	require.True(e, names[durable], "%v", found)
	require.NoError(e, e.db.Connection(func(one *gorm.DB) error {
		if e.Driver != "" {
			require.NoError(e, one.Exec("PRAGMA synchronous = OFF").Error)
			found, err := e.server.Settings(e.ctx, one)
			require.NoError(e, err)
			require.Contains(e, found, dialect.Setting{Name: "synchronous", Value: "0", Advice: "a crash of the machine can corrupt the database: set FULL, or NORMAL with WAL"})
		}
		if e.server.Engine == "PostgreSQL" {
			require.NoError(e, one.Exec("SET synchronous_commit = off").Error)
			found, err := e.server.Settings(e.ctx, one)
			require.NoError(e, err)
			require.Contains(e, found, dialect.Setting{Name: "synchronous_commit", Value: "off", Advice: "after a crash, runs that were admitted are queued again and would start twice: do not set it to off"})
		}
		return nil
	}))
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = e.server.Settings(ctx, e.db)
	require.ErrorIs(e, err, context.Canceled)
}

// clock: the expression compares with a time that was stored, and is UTC's whatever the session's zone.
func clock(e *engine) {
	e.must("CREATE TABLE moments (at " + dialect.TimeType(e.db.Dialector) + ")")
	for _, offset := range []time.Duration{-time.Hour, time.Hour} {
		require.NoError(e, e.db.Exec("INSERT INTO moments VALUES (?)", dialect.TimeValue(e.db.Dialector, time.Now().Add(offset))).Error)
	}
	require.NoError(e, e.db.Connection(func(one *gorm.DB) error {
		switch e.server.Engine {
		case "PostgreSQL":
			require.NoError(e, one.Exec("SET TIME ZONE 'Asia/Tokyo'").Error)
		case "MySQL", "MariaDB":
			require.NoError(e, one.Exec("SET time_zone = '+09:00'").Error)
		}
		var past, future int
		require.NoError(e, one.Raw("SELECT COUNT(*) FROM moments WHERE at < "+e.server.Now()).Scan(&past).Error)
		require.NoError(e, one.Raw("SELECT COUNT(*) FROM moments WHERE at > "+e.server.Now()).Scan(&future).Error)
		require.Equal(e, []int{1, 1}, []int{past, future})
		return nil
	}))
}

// tables: with the dialect's options, ids differ by case, accent and trailing blank.
func tables(e *engine) {
	e.must("CREATE TABLE ids (id varchar(20) PRIMARY KEY) " + e.server.TableOptions(e.server.Version))
	for _, id := range []string{"a", "A", "ä", "a "} {
		require.NoError(e, e.db.Exec("INSERT INTO ids VALUES (?)", id).Error)
	}
	var n int
	require.NoError(e, e.db.Raw("SELECT COUNT(*) FROM ids WHERE id = 'a'").Scan(&n).Error)
	require.Equal(e, 1, n)
}

var ofMySQLFamily = map[string]func(*engine){
	"times in another zone": timesInAnotherZone,
	"times as text":         timesAsText,
	"closed when broken":    closedWhenBroken,
}

// with is the database opened with parameters of the DSN changed; nothing is detected yet.
func (e *engine) with(change func(u *url.URL, q url.Values)) (*gorm.DB, error) {
	u, err := url.Parse(e.DSN)
	require.NoError(e, err)
	q := u.Query()
	change(u, q)
	u.RawQuery = q.Encode()
	dsn, err := opendb.Parse(u.String())
	require.NoError(e, err)
	db, err := dsn.Open()
	if err == nil {
		pool, err := db.DB()
		require.NoError(e, err)
		e.Cleanup(func() { require.NoError(e, pool.Close()) })
	}
	return db, err
}

// timesInAnotherZone are refused: also where winter has UTC, or summer, and when nothing is parsed.
func timesInAnotherZone(e *engine) {
	for _, zone := range []string{"Europe/Berlin", "Europe/London", "Atlantic/Azores"} {
		for _, parse := range []string{"true", "false"} {
			for _, interpolate := range []string{"true", "false"} {
				db, err := e.with(func(_ *url.URL, q url.Values) {
					q.Set("loc", zone)
					q.Set("parseTime", parse)
					q.Set("interpolateParams", interpolate)
				})
				require.NoError(e, err)
				_, err = dialect.Detect(e.ctx, db)
				require.ErrorIs(e, err, dialect.ErrUnsupported)
				require.ErrorContains(e, err, "remove loc from the DSN, or set loc=UTC")
			}
		}
	}
}

func timesAsText(e *engine) {
	for _, interpolate := range []string{"true", "false"} {
		db, err := e.with(func(_ *url.URL, q url.Values) { q.Set("parseTime", "false"); q.Set("interpolateParams", interpolate) })
		require.NoError(e, err)
		server, err := dialect.Detect(e.ctx, db)
		require.NoError(e, err)
		require.Equal(e, e.server, server)
	}
}

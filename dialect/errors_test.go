package dialect_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gomysql "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
)

// is asserts the class of an error that the driver returned, also when it is wrapped, and that
// it is the error meant: its text contains one of the marks.
func (e *engine) is(want dialect.Class, err error, marks ...string) {
	e.Helper()
	require.Error(e, err)
	marked := len(marks) == 0
	for _, mark := range marks {
		marked = marked || strings.Contains(err.Error(), mark)
	}
	require.True(e, marked, "%v is none of %v", err, marks)
	session := e.db.Session(&gorm.Session{NewDB: true}).Where("1 = 1")
	_ = session.AddError(errors.New("an earlier one"))
	for how, wrapped := range map[string]error{
		"bare":         err,
		"wrapped":      fmt.Errorf("admit: %w", fmt.Errorf("mark: %w", err)),
		"joined":       errors.Join(errors.New("another"), err, nil),
		"wrapped two":  fmt.Errorf("%w: %w", errors.New("another"), err),
		"in a gorm.DB": session.AddError(err),
	} {
		require.Equal(e, want.String(), e.server.Class(wrapped).String(), "%s: %T %v", how, err, err)
		require.Equal(e, want.String(), dialect.Classify(e.db.Dialector, wrapped).String(), "%s: %T %v", how, err, err)
	}
}

func (e *engine) must(statements ...string) {
	e.Helper()
	for _, s := range statements {
		require.NoError(e, e.db.Exec(s).Error, s)
	}
}

// begin begins a transaction, which is rolled back when the test ends.
func (e *engine) begin(options ...*sql.TxOptions) *gorm.DB {
	tx := e.db.Begin(options...)
	require.NoError(e, tx.Error)
	e.Cleanup(func() { tx.Rollback() })
	return tx
}

func (e *engine) rows() {
	e.must("CREATE TABLE t (id integer PRIMARY KEY, n integer UNIQUE)", "INSERT INTO t VALUES (1, 1), (2, 2)")
}

func duplicate(e *engine) {
	e.rows()
	e.is(dialect.Duplicate, e.db.Exec("INSERT INTO t VALUES (1, 3)").Error, "1555", "UNIQUE constraint failed: t.id", "23505", "1062")
	e.is(dialect.Duplicate, e.db.Exec("INSERT INTO t VALUES (3, 1)").Error, "2067", "UNIQUE constraint failed: t.n", "23505", "1062")
}

func missing(e *engine) {
	e.rows()
	e.is(dialect.Missing, e.db.Exec("INSERT INTO nowhere VALUES (1)").Error, "no such table", "42P01", "1146")
	e.is(dialect.Missing, e.db.Exec("UPDATE t SET n = absent").Error, "no such column", "42703", "1054")
}

func exists(e *engine) {
	e.rows()
	e.must("CREATE INDEX i ON t (n)")
	e.is(dialect.Exists, e.db.Exec("CREATE TABLE t (id integer)").Error, "already exists", "42P07", "1050")
	e.is(dialect.Exists, e.db.Exec("CREATE INDEX i ON t (n)").Error, "already exists", "42P07", "1061")
	e.is(dialect.Exists, e.db.Exec("ALTER TABLE t ADD COLUMN n integer").Error, "duplicate column", "42701", "1060")
}

// existsMeanwhile: the table exists, and another is made and dropped so fast that SQLite gives up
// reading what there is: it then says SQLITE_SCHEMA, and that the table exists.
func existsMeanwhile(e *engine) {
	e.rows()
	for i := range 200 { // so that there is much to read
		e.must(fmt.Sprintf("CREATE TABLE other_%d (id integer)", i))
	}
	stop, busy := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				busy <- nil
				return
			default:
				err = cmp.Or(e.db.Exec("CREATE TABLE other (id integer)").Error, e.db.Exec("DROP TABLE other").Error)
			}
		}
		busy <- err
	}()
	for range 500 { // which the drivers say time and again
		err := e.db.Exec("CREATE TABLE t (id integer)").Error
		require.Error(e, err)
		require.Equal(e, dialect.Exists, e.server.Class(err), err)
	}
	close(stop)
	require.NoError(e, <-busy)
}

func cancelled(e *engine) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.is(dialect.Other, e.db.WithContext(ctx).Exec("SELECT 1").Error, "context canceled")
	e.is(dialect.Other, e.db.Exec("SELEKT").Error)
	e.is(dialect.Other, context.DeadlineExceeded)
}

var ofServers = map[string]func(*engine){
	"deadlock":              deadlock,
	"lock timeout":          lockTimeout,
	"nowait":                nowait,
	"read-only transaction": readOnlyTransaction,
	"killed":                killed,
	"server down":           serverDown,
	"wrong password":        wrongPassword,
	"no rights":             noRights,
	"no database":           noDatabase,
}

func (e *engine) postgres() bool { return e.server.Engine == "PostgreSQL" }

func deadlock(e *engine) {
	e.rows()
	one, two := e.begin(), e.begin()
	require.NoError(e, one.Exec("UPDATE t SET n = 11 WHERE id = 1").Error)
	require.NoError(e, two.Exec("UPDATE t SET n = 12 WHERE id = 2").Error)
	lost := make(chan error)
	go func() {
		err := one.Exec("UPDATE t SET n = 21 WHERE id = 2").Error
		one.Rollback()
		lost <- err
	}()
	err := two.Exec("UPDATE t SET n = 22 WHERE id = 1").Error
	two.Rollback()
	other := <-lost
	if err == nil {
		err, other = other, err
	}
	require.NoError(e, other)
	e.is(dialect.Conflict, err, "40P01", "1213")
}

func lockTimeout(e *engine) {
	e.rows()
	one, two := e.begin(), e.begin()
	require.NoError(e, one.Exec("UPDATE t SET n = 11 WHERE id = 1").Error)
	short := "SET SESSION innodb_lock_wait_timeout = 1"
	if e.postgres() {
		short = "SET LOCAL lock_timeout = '1ms'"
	}
	require.NoError(e, two.Exec(short).Error)
	e.is(dialect.Busy, two.Exec("UPDATE t SET n = 12 WHERE id = 1").Error, "55P03", "1205")
}

func nowait(e *engine) {
	e.rows()
	one, two := e.begin(), e.begin()
	require.NoError(e, one.Exec("UPDATE t SET n = 11 WHERE id = 1").Error)
	e.is(dialect.Busy, two.Exec("SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT").Error, "55P03", "3572", "1205")
}

func readOnlyTransaction(e *engine) {
	e.rows()
	tx := e.begin(&sql.TxOptions{ReadOnly: true})
	e.is(dialect.ReadOnly, tx.Exec("UPDATE t SET n = 11 WHERE id = 1").Error, "25006", "1792")
}

// killed: the server ends the connection of a transaction.
func killed(e *engine) {
	self, kill := "SELECT CONNECTION_ID()", "KILL ?"
	if e.postgres() {
		self, kill = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend(?)"
	}
	tx := e.begin()
	var id int
	require.NoError(e, tx.Raw(self).Scan(&id).Error)
	require.NoError(e, e.db.Exec(kill, id).Error)
	var err error
	for err == nil && e.ctx.Err() == nil { // the server may answer once more before it notices
		err = tx.Exec("SELECT 1").Error
	}
	e.is(dialect.Lost, err)
	e.is(dialect.Lost, tx.Exec("SELECT 1").Error)
}

// closedWhenBroken: the driver closes a connection that the network has lost.
func closedWhenBroken(e *engine) {
	u, err := url.Parse(e.DSN)
	require.NoError(e, err)
	config := gomysql.NewConfig()
	config.User, config.Net, config.Addr = u.User.Username(), "tcp", u.Host
	config.Passwd, _ = u.User.Password()
	var broken net.Conn
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		broken, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return broken, err
	}
	connector, err := gomysql.NewConnector(config)
	require.NoError(e, err)
	pool := sql.OpenDB(connector)
	require.NoError(e, pool.PingContext(e.ctx))
	require.NoError(e, broken.Close())
	e.is(dialect.Lost, pool.Close(), "bad connection")
}

func serverDown(e *engine) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(e, err)
	require.NoError(e, listener.Close())
	_, err = e.with(func(u *url.URL, _ url.Values) { u.Host = listener.Addr().String() })
	e.is(dialect.Lost, err, "connection refused")
}

func wrongPassword(e *engine) {
	_, err := e.with(func(u *url.URL, _ url.Values) { u.User = url.UserPassword(u.User.Username(), "wrong") })
	e.is(dialect.Denied, err, "28P01", "1045", "1698")
}

func noDatabase(e *engine) {
	_, err := e.with(func(u *url.URL, _ url.Values) { u.Path += "_not" })
	e.is(dialect.Missing, err, "3D000", "1049")
}

func noRights(e *engine) {
	e.rows()
	name := "usher_" + strings.ToLower(rand.Text()[:10])
	create, grant, drop := "CREATE USER "+name+"@'%' IDENTIFIED BY 'pass'", "GRANT SELECT ON t TO "+name+"@'%'", "DROP USER "+name+"@'%'"
	if e.postgres() {
		create, grant, drop = "CREATE USER "+name+" PASSWORD 'pass'", "GRANT SELECT ON t TO "+name, "DROP OWNED BY "+name+"; DROP USER "+name
	}
	e.must(create)
	e.Cleanup(func() {
		for s := range strings.SplitSeq(drop, ";") {
			require.NoError(e, e.db.WithContext(context.Background()).Exec(s).Error)
		}
	})
	e.must(grant)
	db, err := e.with(func(u *url.URL, _ url.Values) { u.User = url.UserPassword(name, "pass") })
	require.NoError(e, err)
	require.NoError(e, db.Exec("SELECT n FROM t").Error)
	e.is(dialect.Denied, db.Exec("UPDATE t SET n = 3").Error, "42501", "1142")
}

var ofPostgreSQL = map[string]func(*engine){
	"serialization": func(e *engine) {
		e.rows()
		one := e.begin(&sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		require.NoError(e, one.Exec("SELECT * FROM t").Error)
		e.must("UPDATE t SET n = 11 WHERE id = 1")
		e.is(dialect.Conflict, one.Exec("UPDATE t SET n = 12 WHERE id = 1").Error, "40001")
	},
	"cached plan": func(e *engine) {
		e.rows()
		var rows []map[string]any
		tx := e.begin()
		require.NoError(e, tx.Raw("SELECT * FROM t").Scan(&rows).Error)
		require.NoError(e, tx.Exec("ALTER TABLE t ADD COLUMN more integer").Error)
		e.is(dialect.Busy, tx.Raw("SELECT * FROM t").Scan(&rows).Error, "0A000")
		e.is(dialect.Other, e.db.Exec("SELECT count(*) FROM t FOR UPDATE").Error, "0A000") // of the same code
	},
	"statement timeout": func(e *engine) {
		tx := e.begin()
		require.NoError(e, tx.Exec("SET LOCAL statement_timeout = '1ms'").Error)
		e.is(dialect.Other, tx.Exec("SELECT pg_sleep(60)").Error, "57014")
	},
	"order by": func(e *engine) { require.Equal(e, "a, b, c, ", e.server.OrderBy("a", "b", "c")) },
}

var ofMySQL = map[string]func(*engine){
	"order by": func(e *engine) { require.Equal(e, "a, b, c, ", e.server.OrderBy("a", "b", "c")) },
}

var ofMariaDB = map[string]func(*engine){
	"order by": func(e *engine) { require.Empty(e, e.server.OrderBy("a", "b", "c")) },
	// From 11.6.2 on this is the default; 10.11 and others can be asked for it.
	"record has changed": func(e *engine) {
		e.rows()
		one := e.begin()
		require.NoError(e, one.Exec("SET SESSION innodb_snapshot_isolation = ON").Error)
		require.NoError(e, one.Exec("SELECT * FROM t").Error)
		e.must("UPDATE t SET n = 11 WHERE id = 1")
		e.is(dialect.Conflict, one.Exec("UPDATE t SET n = 12 WHERE id = 1").Error, "1020")
	},
}

var ofSQLite = map[string]func(*engine){
	"exists meanwhile": existsMeanwhile,
	"busy": func(e *engine) {
		e.rows()
		one, two := e.begin(), e.begin()
		require.NoError(e, two.Exec("PRAGMA busy_timeout = 0").Error)
		require.NoError(e, one.Exec("UPDATE t SET n = 11 WHERE id = 1").Error)
		e.is(dialect.Busy, two.Exec("UPDATE t SET n = 12 WHERE id = 2").Error, "database is locked")
	},
	"busy snapshot": func(e *engine) {
		e.rows()
		one := e.begin()
		var n int
		require.NoError(e, one.Raw("SELECT COUNT(*) FROM t").Scan(&n).Error)
		e.must("UPDATE t SET n = 11 WHERE id = 1")
		e.is(dialect.Conflict, one.Exec("UPDATE t SET n = 12 WHERE id = 2").Error, "database is locked")
	},
	"read-only file": func(e *engine) {
		e.rows()
		ro := e.file("file:" + strings.TrimPrefix(e.DSN, "sqlite:") + "?mode=ro")
		require.NoError(e, ro.Exec("SELECT n FROM t").Error)
		e.is(dialect.ReadOnly, ro.Exec("UPDATE t SET n = 11 WHERE id = 1").Error, "readonly")
	},
	"no such directory": func(e *engine) {
		path := filepath.Join(e.TempDir(), "not", "usher.db")
		_, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: e.Driver, DSN: "file:" + path}), &gorm.Config{Logger: logger.Discard})
		e.is(dialect.Denied, err, "unable to open database file")
	},
}

// file opens a file with parameters of the driver's own.
func (e *engine) file(dsn string) *gorm.DB {
	db, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: e.Driver, DSN: dsn}), &gorm.Config{Logger: logger.Discard})
	require.NoError(e, err)
	pool, err := db.DB()
	require.NoError(e, err)
	e.Cleanup(func() { require.NoError(e, pool.Close()) })
	return db
}

// null is an error whose methods need it not to be nil.
type null struct{ cause error }

func (n *null) Error() string    { return n.cause.Error() }
func (n *null) Unwrap() error    { return n.cause }
func (n *null) Code() int        { return len(n.cause.Error()) }
func (n *null) SQLState() string { return n.cause.Error() }

type (
	uncomparable  struct{ parts []string }
	inner         struct{ Number uint16 }
	embedsNil     struct{ *inner }
	signedNumber  struct{ Number int }
	otherCode     struct{ ExtendedCode string }
	unwrapsNil    struct{}
	unwrapsNils   struct{}
	methodWithArg struct{}
	bareCode      uint16
	extended      struct{ code uint16 }
)

func (uncomparable) Error() string             { return "uncomparable" }
func (embedsNil) Error() string                { return "embeds nil" }
func (signedNumber) Error() string             { return "signed" }
func (otherCode) Error() string                { return "other" }
func (unwrapsNil) Error() string               { return "nil within" }
func (unwrapsNil) Unwrap() error               { return nil }
func (unwrapsNils) Error() string              { return "nils within" }
func (unwrapsNils) Unwrap() []error            { return []error{nil, (*null)(nil), nil} }
func (methodWithArg) Error() string            { return "another shape" }
func (methodWithArg) ExtendedCode(int) float64 { return 1 }
func (bareCode) Error() string                 { return "bare" }
func (e extended) Error() string               { return "extended" }
func (e extended) ExtendedCode() uint16        { return e.code }

// TestOddErrors: whatever an application's own error is, to classify it does no harm.
func TestOddErrors(t *testing.T) {
	odd := []error{
		nil, (*null)(nil), fmt.Errorf("wrapped: %w", (*null)(nil)), errors.Join((*null)(nil), errors.New("x")), &null{errors.New("")},
		uncomparable{[]string{"a"}},
		&uncomparable{}, fmt.Errorf("wrapped: %w", uncomparable{}),
		embedsNil{},
		&embedsNil{}, (*embedsNil)(nil),
		signedNumber{1213},
		otherCode{"517"},
		unwrapsNil{},
		unwrapsNils{},
		methodWithArg{},
		gorm.ErrRecordNotFound, sql.ErrNoRows, sql.ErrTxDone,
	}
	for _, name := range []named{"sqlite", "postgres", "mysql", "oracle"} {
		for _, err := range odd {
			require.Equal(t, dialect.Other, dialect.Classify(name, err), "%s: %T", name, err)
		}
	}
}

// TestForeignDrivers: the shapes in which drivers other than usher's carry their codes.
func TestForeignDrivers(t *testing.T) {
	require.Equal(t, dialect.Conflict, dialect.Classify(named("sqlite"), extended{517}), "ncruces")
	require.Equal(t, dialect.Full, dialect.Classify(named("sqlite"), extended{13}), "ncruces")
	require.Equal(t, dialect.Busy, dialect.Classify(named("sqlite"), fmt.Errorf("wrapped: %w", bareCode(261))), "ncruces, a bare code")
	require.Equal(t, dialect.Conflict, dialect.Classify(named("mysql"), &inner{1213}))
	require.Equal(t, dialect.Conflict, dialect.Classify(named("mysql"), embedsNil{&inner{1213}}))
	require.Equal(t, dialect.Conflict, dialect.Classify(named("oracle"), &pgconn.PgError{Code: "40001"}), "an unknown engine with SQLSTATE")
}

// TestOtherServers: errors that take a cluster, a server in another state, or one of another make.
func TestOtherServers(t *testing.T) {
	for number, want := range map[uint16]dialect.Class{
		1180: dialect.Conflict, 3101: dialect.Conflict, 9007: dialect.Conflict, 8002: dialect.Conflict, 8022: dialect.Conflict, 8028: dialect.Conflict, 1020: dialect.Conflict,
		1290: dialect.ReadOnly, 1836: dialect.ReadOnly, 1053: dialect.Lost, 1927: dialect.Lost, 1040: dialect.Lost, 1047: dialect.Lost, 1158: dialect.Lost, 1159: dialect.Lost, 1160: dialect.Lost, 1161: dialect.Lost, 3100: dialect.Lost, 1568: dialect.LeftOpen, 1021: dialect.Full, 1114: dialect.Full, 1227: dialect.Denied, 1044: dialect.Denied,
	} {
		require.Equal(t, want, dialect.Classify(named("mysql"), &gomysql.MySQLError{Number: number}), number)
	}
	for state, want := range map[string]dialect.Class{"57P01": dialect.Lost, "57P03": dialect.Lost, "53300": dialect.Lost, "53100": dialect.Full, "08006": dialect.Lost, "28000": dialect.Denied, "3F000": dialect.Missing, "25P02": dialect.Other} {
		require.Equal(t, want, dialect.Classify(named("postgres"), &pgconn.PgError{Code: state}), state)
	}
}

// TestLostConnections: what database/sql and the network say, and a context's end, which is no loss.
func TestLostConnections(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, dialing := (&net.Dialer{}).DialContext(canceled, "tcp", "127.0.0.1:1")
	for _, name := range []named{"sqlite", "postgres", "mysql", "oracle"} {
		for _, err := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, gomysql.ErrInvalidConn, gomysql.ErrBusyBuffer, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}} {
			require.Equal(t, dialect.Lost, dialect.Classify(name, fmt.Errorf("admit: %w", err)), "%s: %v", name, err)
		}
		for _, err := range []error{context.Canceled, context.DeadlineExceeded, dialing, fmt.Errorf("%w: %w", context.Canceled, driver.ErrBadConn), fmt.Errorf("%w: %w", io.EOF, context.Canceled)} {
			require.Equal(t, dialect.Other, dialect.Classify(name, err), "%s: %v", name, err)
		}
	}
}

// named is a GORM dialector of which only the name matters.
type named string

func (n named) Name() string                                 { return string(n) }
func (named) Initialize(*gorm.DB) error                      { return nil }
func (named) Migrator(*gorm.DB) gorm.Migrator                { return nil }
func (named) DataTypeOf(*schema.Field) string                { return "" }
func (named) DefaultValueOf(*schema.Field) clause.Expression { return nil }
func (named) BindVarTo(clause.Writer, *gorm.Statement, any)  {}
func (named) QuoteTo(clause.Writer, string)                  {}
func (named) Explain(string, ...any) string                  { return "" }

func (*inner) Error() string { return "inner" }

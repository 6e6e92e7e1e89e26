package tests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

// access is what a statement has to do with those of others.
type access int

const (
	reads  access = iota // sees what is committed, and nothing else
	writes               // takes locks, or writes what nobody else can see yet
	ends                 // shows what was written, and lets locks go
)

// accessOf classifies a statement by its text. Where transactions are serializable, reads lock.
func (s *stepper) accessOf(text string, inTransaction bool) access {
	text = strings.ToUpper(strings.TrimSpace(text))
	switch {
	case inTransaction && s.isolation == serializable:
		return writes
	case strings.HasPrefix(text, "SELECT") && !strings.Contains(text, " FOR UPDATE") && !strings.Contains(text, " FOR NO KEY"):
		return reads
	case inTransaction:
		return writes
	}
	return ends
}

// independent reports whether two statements of different operations, one right after the
// other, come to the same in either order. Nobody reads what is not committed, so a plain
// read only minds the ends of transactions.
func independent(a, b access) bool {
	return a == reads && b != ends || b == reads && a != ends
}

// A stop is where an operation waits before its next statement.
type stop struct {
	access access
	text   string
}

// what an operation tells the explorer.
type report struct {
	stop    *stop // it is about to execute this
	blocked bool  // somebody else is the writer
	done    bool
}

// A stepper executes one operation on a connection of its own, and stops before every
// statement until it is told to go on. BEGIN is no stop: on no engine does it see or lock anything.
type stepper struct {
	*gorm.DB
	w          *world
	connection int64 // the server's number for it
	isolation  string
	stepping   bool
	reports    chan report
	proceed    chan struct{}
}

// Isolation levels, as SQL has them.
const (
	repeatableRead = "REPEATABLE READ"
	serializable   = "SERIALIZABLE"
)

// isolate is how a connection is told the level of its transactions.
var isolate = map[string]string{
	"PostgreSQL": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ",
	"MySQL":      "SET SESSION TRANSACTION ISOLATION LEVEL ", "MariaDB": "SET SESSION TRANSACTION ISOLATION LEVEL ",
}

// stepper opens the connection, with an isolation level of its own or, if that is empty, the
// engine's default.
func (w *world) stepper(isolation string, options ...locking.Option) *stepper {
	db := w.d.Open(w, append(options, locking.Attempts(3))...)
	pool, err := db.DB()
	require.NoError(w, err)
	pool.SetMaxOpenConns(1)
	_, err = locking.Server(w.ctx, db)
	require.NoError(w, err)
	if isolation != "" {
		require.NoError(w, db.Exec(isolate[w.d.Engine]+isolation).Error)
	}
	s := &stepper{DB: db, w: w, isolation: isolation, reports: make(chan report), proceed: make(chan struct{})}
	if w.d.RowLocks {
		require.NoError(w, db.Raw(numbers[w.d.Engine]).Scan(&s.connection).Error)
	} else {
		require.NoError(w, db.Exec("PRAGMA busy_timeout = 0").Error)
	}
	db.Statement.ConnPool = stoppingPool{pool, s}
	return s
}

// begin starts an operation, which goes on to its first stop.
func (s *stepper) begin(ctx context.Context, do func(context.Context)) {
	s.stepping = true
	go func() {
		do(ctx)
		s.stepping = false
		s.reports <- report{done: true}
	}()
}

// reach is called by the operation before a statement.
func (s *stepper) reach(access access, text string) {
	if s.stepping {
		s.reports <- report{stop: &stop{access, text}}
		<-s.proceed
	}
}

// busy executes a statement again and again while somebody else is the only writer, as the
// engine's own waiting would, but only when the explorer says so.
func (s *stepper) busy(execute func() error) {
	for {
		err := execute()
		if s.w.d.RowLocks || !s.stepping || !locking.Is(s.DB, err, dialect.Busy) || !lockedCode(err) {
			return
		}
		s.reports <- report{blocked: true}
		<-s.proceed
	}
}

// lockedCode tells SQLITE_BUSY, which may be waited out, from SQLITE_BUSY_SNAPSHOT, which may not.
func lockedCode(err error) bool {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code() == 5
	}
	return err.Error() == "database is locked"
}

// numbers is how a server is asked for the number of a connection.
var numbers = map[string]string{"PostgreSQL": "SELECT pg_backend_pid()", "MySQL": "SELECT CONNECTION_ID()", "MariaDB": "SELECT CONNECTION_ID()"}

// innoDBWait finds, in InnoDB's report, a transaction that waits for a lock, and its connection.
var innoDBWait = regexp.MustCompile(`(?m)^LOCK WAIT .*\n(?:MariaDB|MySQL) thread id (\d+),`)

// waiting reports whether the operation's connection waits for a lock. The answer must not be
// older than the last step: PostgreSQL's list of activity and InnoDB's of transactions are, its
// list of locks and InnoDB's report are not. Only MySQL's own list of locks has reads that wait.
func (s *stepper) waiting() bool {
	if s.w.d.Engine == "PostgreSQL" {
		var n int64
		require.NoError(s.w, s.w.db.Raw("SELECT COUNT(*) FROM pg_locks WHERE pid = ? AND NOT granted", s.connection).Scan(&n).Error)
		return n > 0
	}
	var kind, name, status string
	require.NoError(s.w, s.w.db.Raw("SHOW ENGINE INNODB STATUS").Row().Scan(&kind, &name, &status))
	for _, found := range innoDBWait.FindAllStringSubmatch(status, -1) {
		if found[1] == fmt.Sprint(s.connection) {
			return true
		}
	}
	if s.w.d.Engine == "MySQL" && s.isolation == serializable {
		var n int64
		require.NoError(s.w, s.w.db.Raw(mySQLWaits, s.connection).Scan(&n).Error)
		return n > 0
	}
	return false
}

// mySQLWaits goes by the locks of tables: of a row's lock that has moved with its row, the list
// names the connection that has moved it.
const mySQLWaits = `SELECT COUNT(*) FROM performance_schema.data_locks l
	JOIN performance_schema.data_locks mine ON mine.engine_transaction_id = l.engine_transaction_id AND mine.lock_type = 'TABLE'
	JOIN performance_schema.threads t ON t.thread_id = mine.thread_id WHERE t.processlist_id = ? AND l.lock_status = 'WAITING'`

// stoppingPool is a stepper's connection for GORM.
type stoppingPool struct {
	pool *sql.DB
	s    *stepper
}

func (p stoppingPool) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	return p.pool.PrepareContext(ctx, text)
}

func (p stoppingPool) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return stepped(ctx, p.s, p.pool.ExecContext, p.s.accessOf(text, false), text, args)
}

func (p stoppingPool) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return stepped(ctx, p.s, p.pool.QueryContext, p.s.accessOf(text, false), text, args)
}

func (p stoppingPool) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	p.s.reach(p.s.accessOf(text, false), text)
	return p.pool.QueryRowContext(ctx, text, args...)
}

// BeginTx implements [gorm.ConnPoolBeginner].
func (p stoppingPool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.pool.BeginTx(ctx, options)
	return &stoppingTx{tx: tx, s: p.s}, err
}

// stoppingTx is its transaction.
type stoppingTx struct {
	tx    *sql.Tx
	s     *stepper
	ended bool
}

func (t *stoppingTx) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	return t.tx.PrepareContext(ctx, text)
}

func (t *stoppingTx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return stepped(ctx, t.s, t.tx.ExecContext, t.s.accessOf(text, true), text, args)
}

func (t *stoppingTx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if kind := t.s.accessOf(text, true); kind == writes && !t.s.w.d.RowLocks {
		// INSERT … RETURNING: SQLite refuses only when the first row is fetched, where nothing can wait.
		t.s.reach(kind, text)
		t.becomeWriter(ctx)
		return t.tx.QueryContext(ctx, text, args...)
	}
	return stepped(ctx, t.s, t.tx.QueryContext, t.s.accessOf(text, true), text, args)
}

func (t *stoppingTx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	t.s.reach(t.s.accessOf(text, true), text)
	return t.tx.QueryRowContext(ctx, text, args...)
}

// Commit implements [gorm.TxCommitter].
func (t *stoppingTx) Commit() error {
	t.s.reach(ends, "COMMIT")
	t.ended = true
	return t.tx.Commit()
}

// Rollback implements [gorm.TxCommitter].
func (t *stoppingTx) Rollback() error {
	if !t.ended {
		t.s.reach(ends, "ROLLBACK")
	}
	t.ended = true
	return t.tx.Rollback()
}

// becomeWriter takes the writer's lock, waiting for it as the explorer says.
func (t *stoppingTx) becomeWriter(ctx context.Context) {
	t.s.busy(func() error {
		_, err := t.tx.ExecContext(ctx, "DELETE FROM dag WHERE 1 = 0")
		return err
	})
}

// stepped executes a statement once the explorer lets it.
func stepped[R any](ctx context.Context, s *stepper, on func(context.Context, string, ...any) (R, error), access access, text string, args []any) (result R, err error) {
	s.reach(access, text)
	s.busy(func() error { result, err = on(ctx, text, args...); return err })
	return result, err
}

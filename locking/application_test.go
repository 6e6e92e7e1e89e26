package locking_test

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
)

// applications are the ways in which applications set up GORM.
var applications = cases{
	"prepared, one connection":         preparedWithOneConnection,
	"prepared by others":               notPrepared,
	"prepared, conflict":               func(e *engine) { e.with(gorm.Config{PrepareStmt: true}).swallows(update) },
	"one plugin, several databases":    onePlugin,
	"errors translated":                translated,
	"errors translated, conflict":      func(e *engine) { e.with(gorm.Config{TranslateError: true}).swallows(update) },
	"dry run":                          dryRun,
	"dry run, in a transaction":        dryRunInTransaction,
	"a transaction's timeout, in body": timeoutInBody,
}

// with is the same database as another application has it.
func (e *engine) with(config gorm.Config) *engine {
	other := *e
	other.db = e.configured(config)
	return &other
}

// preparedWithOneConnection: who has the connection does not wait for who prepares the same
// statement, and waits for the connection.
func preparedWithOneConnection(e *engine) {
	db := e.one(e.configured(gorm.Config{PrepareStmt: true}))
	_, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	pool, err := db.DB()
	require.NoError(e, err)
	read := func(db *gorm.DB) error { return db.Take(&gate{}, 1).Error }
	inside, outside := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
			go func() { outside <- read(db) }()
			for pool.Stats().WaitCount == 0 && e.ctx.Err() == nil {
				runtime.Gosched() // it prepares, and waits for the connection
			}
			return 1, read(tx)
		})
		inside <- err
	}()
	for _, done := range []chan error{inside, outside} {
		select {
		case err := <-done:
			require.NoError(e, err)
		case <-time.After(20 * time.Second):
			require.Fail(e, "they wait for each other")
		}
	}
}

// notPrepared: GORM keeps none of the plugin's statements, which are of many texts.
func notPrepared(e *engine) {
	db := e.configured(gorm.Config{PrepareStmt: true})
	prepared := db.ConnPool.(*gorm.PreparedStmtDB)
	_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
		if _, err := locking.Hold(tx, gates, []int64{1, 2}); err != nil {
			return 0, err
		}
		return 1, add(tx, 1, 1)
	})
	require.NoError(e, err)
	tx := e.begin(db)
	in, err := locking.Join(tx, &gate{})
	require.NoError(e, err)
	_, err = locking.InTx(e.ctx, in, func(tx *gorm.DB) (int, error) { return 1, add(tx, 1, 1) })
	require.NoError(e, err)
	_, err = locking.Hold(tx, gates, []int64{1})
	require.NoError(e, err)
	require.Empty(e, prepared.Stmts.Keys())
	require.NoError(e, add(tx, 1, 1))
	require.NoError(e, tx.Commit().Error)
	require.Len(e, prepared.Stmts.Keys(), 1, "the application's own")
	require.Equal(e, 3, e.gate(1).N)
}

// onePlugin serves several databases, each as its engine is.
func onePlugin(e *engine) {
	plugin := locking.New()
	dbs := []*gorm.DB{e.Bare(e.T, &gorm.Config{}), testdb.SQLite(e.T, "sqlite").Bare(e.T, &gorm.Config{})}
	var servers []*dialect.Server
	for _, db := range dbs {
		require.NoError(e, db.Use(plugin))
		require.Nil(e, locking.Found(db))
		server, err := locking.Server(e.ctx, db)
		require.NoError(e, err)
		servers = append(servers, server)
	}
	require.Equal(e, []string{e.server().Engine, "SQLite"}, []string{servers[0].Engine, servers[1].Engine})
	require.NotSame(e, servers[0], servers[1])
	for i, db := range dbs {
		require.Same(e, servers[i], locking.Found(db.Session(&gorm.Session{PrepareStmt: true}).WithContext(e.ctx)))
		require.NoError(e, db.AutoMigrate(&gate{}, &task{}))
		_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{1}) })
		require.NoError(e, err)
	}
}

// translated: GORM's words for an error do not hide what it is.
func translated(e *engine) {
	db := e.configured(gorm.Config{TranslateError: true})
	for range 2 { // before the engine is known, and after
		err := db.Create(&gate{ID: 1}).Error
		require.True(e, locking.Is(db, err, dialect.Duplicate), err)
		if e.Driver != "sqlite" { // GORM's translation knows mattn's errors only
			require.ErrorIs(e, err, gorm.ErrDuplicatedKey)
		}
		require.True(e, locking.Is(db, db.Exec("SELECT * FROM nowhere").Error, dialect.Missing))
		_, err = locking.Server(e.ctx, db)
		require.NoError(e, err)
	}
}

// shown is a logger that keeps the SQL that it is told of.
type shown struct {
	logger.Interface
	statements []string
}

func (s *shown) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	sql, _ := statement()
	s.statements = append(s.statements, strings.NewReplacer("`", "", `"`, "").Replace(sql))
}

// dry is the database with nothing to execute anything: its pool is closed.
func (e *engine) dry() (*gorm.DB, *shown) {
	log := &shown{Interface: logger.Discard}
	db := e.configured(gorm.Config{Logger: log})
	_, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	pool, err := db.DB()
	require.NoError(e, err)
	require.NoError(e, pool.Close())
	log.statements = nil
	return db.Session(&gorm.Session{DryRun: true}), log
}

// locks is the query with the engine's lock, and what comes before it.
func (e *engine) locks(query string) []string {
	if e.RowLocks {
		return []string{query + " FOR UPDATE SKIP LOCKED"}
	}
	return []string{"DELETE FROM gates WHERE 1 = 0", query}
}

// dryRun shows the SQL and executes nothing.
func dryRun(e *engine) {
	db, log := e.dry()
	query := func(tx *gorm.DB) *gorm.DB { return tx.Clauses(locking.SkipLocked()).Where("n = ?", 7).Find(&[]gate{}) }
	selects := "SELECT * FROM gates WHERE n = 7"
	sql := e.locks(selects)
	require.Equal(e, sql[len(sql)-1], strings.NewReplacer("`", "", `"`, "").Replace(db.ToSQL(query)))
	log.statements = nil
	n, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
		if err := query(tx).Error; err != nil {
			return 0, err
		}
		return 7, add(tx, 1, 1)
	})
	require.NoError(e, err)
	require.Equal(e, 7, n)
	require.Equal(e, append(sql, "UPDATE gates SET n=n + 1 WHERE id = 1"), log.statements)
	log.statements = nil
	_, err = locking.InTx(e.ctx, db, func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{1, 2}) })
	require.ErrorIs(e, err, locking.ErrDryRun)
	keys := "id IN (1,2)"
	if e.server().ReadsAll() {
		keys = "id = ANY ((SELECT '{1,2}'::bigint[])::bigint[])"
	}
	want := e.locks("SELECT id FROM gates WHERE " + keys + " ORDER BY id")
	require.Equal(e, want[0], log.statements[0])
	_, err = locking.Held(e.ctx, db, gates, []int64{1})
	require.ErrorIs(e, err, locking.ErrDryRun)
}

// dryRunInTransaction: in one that the application has begun nothing is executed either.
func dryRunInTransaction(e *engine) {
	tx := e.begin(e.db)
	in, err := locking.Join(tx.Session(&gorm.Session{DryRun: true}), &gate{})
	require.NoError(e, err)
	_, err = locking.InTx(e.ctx, in, func(tx *gorm.DB) (int, error) { return 1, add(tx, 1, 1) })
	require.NoError(e, err)
	_, err = locking.InTx(e.ctx, in, func(tx *gorm.DB) ([]int64, error) { return locking.Await(tx, gates, []int64{1}) })
	require.ErrorIs(e, err, locking.ErrDryRun)
	require.NoError(e, tx.Commit().Error)
	require.Zero(e, e.gate(1).N)
}

// timeoutInBody: the transaction ends with its time, for the reason that it is, and is known not
// to have happened.
func timeoutInBody(e *engine) {
	db := e.configured(gorm.Config{DefaultTransactionTimeout: 300 * time.Millisecond}).WithContext(context.Background())
	tries := 0
	_, err := locking.InTx(context.Background(), db, func(tx *gorm.DB) (int, error) {
		tries++
		require.NoError(e, add(tx, 1, 1))
		select {
		case <-tx.Statement.Context.Done():
		case <-e.ctx.Done():
		}
		return 7, nil
	})
	require.NoError(e, e.ctx.Err())
	require.ErrorIs(e, err, context.DeadlineExceeded)
	require.NotErrorIs(e, err, locking.ErrCommitUnknown)
	require.Equal(e, []int{1, 0}, []int{tries, e.gate(1).N})
}

// timeoutInCommit: the server is still at it, so nobody can tell what becomes of it.
func timeoutInCommit(e *engine) {
	require.NoError(e, e.db.Exec("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'").Error)
	require.NoError(e, e.db.Exec("CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON gates DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()").Error)
	require.NoError(e, e.begin(e.db).Exec("SELECT pg_advisory_xact_lock(7)").Error)
	db := e.configured(gorm.Config{DefaultTransactionTimeout: 500 * time.Millisecond}).WithContext(context.Background())
	_, err := locking.InTx(context.Background(), db, func(tx *gorm.DB) (int, error) { return 7, add(tx, 1, 1) })
	require.ErrorIs(e, err, context.DeadlineExceeded)
	require.ErrorIs(e, err, locking.ErrCommitUnknown)
}

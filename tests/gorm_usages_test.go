package tests

import (
	"context"
	"errors"
	stdlog "log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// pooled sets the size of a pool.
func (w *world) pooled(db *gorm.DB, n int) *gorm.DB {
	pool, err := db.DB()
	require.NoError(w, err)
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	return db
}

func poolOf100(w *world) string { return w.core(w.pooled(w.d.Bare(w, &gorm.Config{}), 100)) }

// poolsOf1 are four, with two schedulers each.
func poolsOf1(config gorm.Config) func(*world) string {
	return func(w *world) string {
		dbs := make([]*gorm.DB, 4)
		for i := range dbs {
			own := config
			dbs[i] = w.pooled(w.d.Bare(w, &own), 1)
		}
		return w.core(dbs...)
	}
}

// dryRun refuses, and has done nothing by then.
func dryRun(w *world) string {
	db := w.d.Bare(w, &gorm.Config{DryRun: true})
	require.NoError(w, db.Use(locking.New()))
	w.dag("d", 1)
	w.queue("d", 1, past, time.Minute)
	_, err := repo.New(db)
	_, joins := w.r.WithTx(w.db.Begin().Session(&gorm.Session{DryRun: true}))
	require.ErrorIs(w, joins, locking.ErrDryRun)
	return w.refusedBy(err, locking.ErrDryRun, "locking.ErrDryRun")
}

// translated: usher knows a duplicate by GORM's word as well.
func translated(w *world) string {
	there := w.in(w.d.Bare(w, &gorm.Config{TranslateError: true}))
	there.dag("d", 1)
	run := there.queue("d", 1, past, time.Minute)[0]
	_, err := there.r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: run.RunID})
	require.ErrorIs(w, err, repo.ErrExists)
	require.NoError(w, there.db.Delete(&run).Error)
	return w.core(there.db)
}

func inSchema(w *world) string {
	require.NoError(w, w.db.Exec("CREATE SCHEMA af").Error)
	return set(gorm.Config{NamingStrategy: schema.NamingStrategy{TablePrefix: "af."}})(w)
}

// order is a model of the application's, with a hook.
type order struct {
	ID        int64
	Number    string `gorm:"size:50"`
	DeletedAt gorm.DeletedAt
}

var errHook = errors.New("the hook refuses")

func (o *order) AfterCreate(*gorm.DB) error {
	if o.Number == "refused" {
		return errHook
	}
	return nil
}

// generics reads usher's models and locks the application's by gorm.G.
func generics(w *world) string {
	require.NoError(w, w.db.AutoMigrate(&order{}))
	require.NoError(w, gorm.G[order](w.db).CreateInBatches(w.ctx, &[]order{{ID: 1}, {ID: 2}}, 10))
	taken, err := locking.InTx(w.ctx, w.db, func(tx *gorm.DB) ([]order, error) {
		return gorm.G[order](tx, locking.SkipLocked()).Where("id > ?", 1).Order("id").Find(w.ctx)
	})
	require.NoError(w, err)
	require.Len(w, taken, 1)
	defer func() {
		ended, err := gorm.G[models.DagRun](w.db).Where("state = ?", models.Success).Order("id").Find(w.ctx)
		require.NoError(w, err)
		require.Len(w, ended, 24)
	}()
	return w.core(w.db)
}

// before lets something happen before each statement of a database.
func (w *world) before(db *gorm.DB) *atomic.Pointer[func()] {
	var happens atomic.Pointer[func()]
	told := func(*gorm.DB) {
		if f := happens.Load(); f != nil {
			(*f)()
		}
	}
	c := db.Callback()
	require.NoError(w, errors.Join(c.Query().Before("gorm:query").Register("app:before", told), c.Update().Before("gorm:update").Register("app:before", told),
		c.Row().Before("gorm:row").Register("app:before", told), c.Raw().Before("gorm:raw").Register("app:before", told)))
	return &happens
}

// cancelled ends the context before each statement of a pass in turn.
func cancelled(w *world) string {
	there := w.in(w.d.Bare(w, &gorm.Config{}))
	there.dag("d", 2)
	there.queue("d", 3, past, time.Minute)
	before := w.before(there.db)
	for n := 1; ; {
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		left := n
		before.Store(new(func() {
			if left--; left == 0 {
				cancel()
			}
		}))
		runs, err := there.r.Admit(ctx)
		before.Store(nil)
		if left > 0 && err == nil && len(runs) == 0 {
			continue // the server has yet to let go of the gate, whose connection is gone
		}
		if left > 0 { // there are not so many
			require.NoError(w, err)
			require.Len(w, runs, 2)
			require.Greater(w, n, 4, "a pass has more statements")
			break
		}
		require.ErrorIs(w, err, context.Canceled, "before statement %d", n)
		w.running(map[repo.Gate]int{dagGate("d"): 0})
		n++
	}
	require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
	return w.core(there.db)
}

// pastDeadline lets the deadline pass in a pass.
func pastDeadline(w *world) string {
	there := w.in(w.d.Bare(w, &gorm.Config{}))
	there.dag("d", 2)
	there.queue("d", 3, past, time.Minute)
	ctx, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	before := w.before(there.db)
	before.Store(new(func() { <-ctx.Done() }))
	_, err := there.r.Admit(ctx)
	before.Store(nil)
	require.ErrorIs(w, err, context.DeadlineExceeded)
	w.running(map[repo.Gate]int{dagGate("d"): 0})
	require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
	deadline, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	return w.core(there.db.WithContext(deadline))
}

// twice is a logger that tells another one too.
type twice struct {
	logger.Interface
	also logger.Interface
}

func (l twice) Trace(ctx context.Context, began time.Time, statement func() (string, int64), err error) {
	l.Interface.Trace(ctx, began, statement, err)
	l.also.Trace(ctx, began, statement, err)
}

// logged: what a logger is told of passes that meet each other.
func logged(w *world) string {
	var slow, wrong log
	at := func(level logger.LogLevel, to *log) logger.Interface {
		return logger.New(stdlog.New(to, "", 0), logger.Config{LogLevel: level, SlowThreshold: time.Nanosecond})
	}
	w.core(w.d.Bare(w, &gorm.Config{Logger: twice{at(logger.Warn, &slow), at(logger.Error, &wrong)}}))
	require.Contains(w, slow.String(), "SLOW SQL")
	require.Empty(w, wrong.String())
	return limitHeld
}

// ownModels has hooks, callbacks for everything, and rows that are deleted softly.
func ownModels(w *world) string {
	there := w.in(w.d.Bare(w, &gorm.Config{}))
	var created atomic.Int32
	require.NoError(w, there.db.Callback().Create().After("gorm:create").Register("app:audit", func(*gorm.DB) { created.Add(1) }))
	require.NoError(w, there.db.Callback().Create().Before("gorm:create").Register("app:user", func(tx *gorm.DB) {
		if _, ok := tx.Statement.Dest.([]models.DagRun); ok {
			tx.Statement.SetColumn("triggering_user_name", "alice", true)
		}
	}))
	require.NoError(w, there.db.AutoMigrate(&order{}))
	there.dag("d", 1)
	for number, want := range map[string]error{"refused": errHook, "good": nil} {
		err := there.db.Transaction(func(tx *gorm.DB) error {
			in, err := there.r.WithTx(tx)
			require.NoError(w, err)
			_, err = in.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: number})
			require.NoError(w, err)
			return tx.Create(&order{Number: number}).Error
		})
		require.ErrorIs(w, err, want)
	}
	runs, err := there.r.Runs(w.ctx, repo.RunQuery{DagID: "d"})
	require.NoError(w, err)
	require.Len(w, runs, 1)
	require.Equal(w, "good", runs[0].RunID)
	require.Equal(w, "alice", runs[0].TriggeringUserName)
	require.GreaterOrEqual(w, created.Load(), int32(4))
	pick := func(tx *gorm.DB) (found []order, err error) {
		return found, tx.Clauses(locking.SkipLocked()).Find(&found).Error
	}
	for left := 1; left >= 0; left-- {
		found, err := locking.InTx(w.ctx, there.db, pick)
		require.NoError(w, err)
		require.Len(w, found, left)
		require.NoError(w, there.db.Where("number = ?", "good").Delete(&order{}).Error)
	}
	require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
	return w.core(there.db)
}

// severalDatabases of one plugin, whose schedulers run at the same time.
func severalDatabases(w *world) string {
	plugin := locking.New()
	both := []*gorm.DB{w.d.Bare(w, &gorm.Config{}), testdb.SQLite(w, "sqlite").Bare(w, &gorm.Config{})}
	var worlds []*world
	var limits []map[repo.Gate]int
	tallies := []*exercise.Tally{exercise.NewTally(), exercise.NewTally()}
	ended := make(chan error, len(both))
	for i, db := range both {
		require.NoError(w, db.Use(plugin))
		worlds = append(worlds, w.in(db))
		limits = append(limits, coreContest(worlds[i]))
		w.meet(db)
	}
	for i, db := range both {
		go func() { ended <- race(w.ctx, tallies[i], func(r *repo.Repo) admit { return r.Admit }, coreTime, db) }()
	}
	require.NoError(w, errors.Join(<-ended, <-ended))
	for i, there := range worlds {
		contest{}.check(there, tallies[i], limits[i])
	}
	return limitHeld
}

// ownPool gives GORM a *sql.DB that the application has opened.
func ownPool(w *world) string {
	if w.d.Engine == "PostgreSQL" {
		config, err := pgx.ParseConfig(w.d.DSN)
		require.NoError(w, err)
		return w.core(testdb.Through(w, postgres.New(postgres.Config{Conn: stdlib.OpenDB(*config)}), &gorm.Config{}))
	}
	opened, err := w.d.Connect()
	require.NoError(w, err)
	pool, err := opened.DB()
	require.NoError(w, err)
	dialector := map[bool]gorm.Dialector{true: mysql.New(mysql.Config{Conn: pool}), false: sqlite.New(sqlite.Config{Conn: pool})}[w.d.RowLocks]
	return w.core(testdb.Through(w, dialector, &gorm.Config{}))
}

func pgBouncer(w *world) string {
	dsn := w.d.PgBouncer(w).DSN
	return w.core(testdb.Through(w, postgres.New(postgres.Config{DSN: dsn, PreferSimpleProtocol: true}), &gorm.Config{}))
}

// dsn is with parameters after the DSN.
func dsn(parameters string) func(*world) string {
	return func(w *world) string {
		d := w.d
		d.DSN += "?" + parameters
		return w.core(d.Bare(w, &gorm.Config{}))
	}
}

// foreignTimes are refused before anything is written.
func foreignTimes(w *world) string {
	d := w.d
	d.DSN += "?loc=Europe%2FBerlin"
	db := d.Bare(w, &gorm.Config{})
	require.NoError(w, db.Use(locking.New()))
	r, err := repo.New(db)
	require.NoError(w, err)
	_, err = r.Admit(w.ctx)
	require.ErrorContains(w, err, "loc=UTC")
	return w.refusedBy(err, dialect.ErrUnsupported, "dialect.ErrUnsupported")
}

// journal is a file with that journal.
func journal(mode string) func(*world) string {
	return func(w *world) string {
		file, _ := strings.CutPrefix(testdb.SQLite(w, w.d.Driver).DSN, "sqlite:")
		parameters := "?_pragma=busy_timeout(10000)&_pragma=journal_mode(" + mode + ")"
		if w.d.Driver == "sqlite3" {
			parameters = "?_busy_timeout=10000&_journal_mode=" + mode
		}
		db := testdb.Through(w, sqlite.New(sqlite.Config{DriverName: w.d.Driver, DSN: "file:" + file + parameters}), &gorm.Config{})
		var found string
		require.NoError(w, db.Raw("PRAGMA journal_mode").Scan(&found).Error)
		require.Equal(w, strings.ToLower(mode), found)
		return w.core(db)
	}
}

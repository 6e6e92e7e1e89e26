package tests

import (
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// A usage is a way in which an application sets up or uses GORM: a line of docs/GORM.md.
type usage struct {
	name string
	on   []string // the engines that it is for; none for all
	note string   // what the application must know
	// test tries it, and returns what becomes of it in a word or two.
	test func(*world) string
	// glebarez are the flags of a scheduler that uses GORM so through that driver; none when it is not tried.
	glebarez []string
}

// limitHeld is what becomes of a usage with which the limits hold.
const limitHeld = "limit held"

// set is a usage in which GORM is configured so.
func set(config gorm.Config) func(*world) string {
	return func(w *world) string {
		own := config // GORM writes into it
		return w.core(w.d.Bare(w, &own))
	}
}

var (
	onlyPostgreSQL = []string{"PostgreSQL"}
	onlyMySQL      = []string{"MySQL", "MariaDB"}
	onlySQLite     = []string{"SQLite (mattn)", "SQLite (modernc)", "SQLite (glebarez)"}
)

var usages = []usage{
	{
		name: "`gorm.Config{}`", test: set(gorm.Config{}), glebarez: []string{"-journal=WAL"},
		note: "`TranslateError` is off here, as by default.",
	},
	{
		name: "`PrepareStmt`", test: set(gorm.Config{PrepareStmt: true}), glebarez: []string{"-journal=WAL", "-prepare"},
		note: "GORM does not keep usher's statements: see below.",
	},
	{name: "`PrepareStmt`, pools of 1", test: poolsOf1(gorm.Config{PrepareStmt: true}), glebarez: []string{"-journal=WAL", "-prepare", "-pool=1"}},
	{name: "`SkipDefaultTransaction`", test: set(gorm.Config{SkipDefaultTransaction: true})},
	{name: "`CreateBatchSize`", test: set(gorm.Config{CreateBatchSize: 2})},
	{
		name: "`DryRun`", test: dryRun,
		note: "`repo.New` refuses, since every verb goes by what the database answers. `locking.InTx` and `locking.SkipLocked` show their SQL; of the server only its version is asked.",
	},
	{
		name: "`TranslateError`", test: translated, glebarez: []string{"-journal=WAL", "-translate"},
		note: "Ask for `repo.ErrExists`, not for `gorm.ErrDuplicatedKey`.",
	},
	{
		name: "`DefaultTransactionTimeout`, `DefaultContextTimeout`", test: set(gorm.Config{DefaultTransactionTimeout: time.Minute, DefaultContextTimeout: time.Minute}),
		note: "Each attempt has that time. When it ends in COMMIT, the error is `locking.ErrCommitUnknown` as well.",
	},
	{name: "a table prefix", test: set(gorm.Config{NamingStrategy: schema.NamingStrategy{TablePrefix: "af_"}})},
	{name: "a PostgreSQL schema", test: inSchema, on: onlyPostgreSQL, note: "`TablePrefix: \"af.\"`; make the schema before `Migrate`."},
	{name: "singular tables", test: set(gorm.Config{NamingStrategy: schema.NamingStrategy{SingularTable: true}}), note: "usher's tables are singular anyway."},
	{
		name: "a replacer of names", test: set(gorm.Config{NamingStrategy: schema.NamingStrategy{NameReplacer: strings.NewReplacer("dag", "flow", "_id", "_key")}}),
		note: "It names the tables; columns keep Airflow's names.",
	},
	{
		name: "tables of other names (`models.Tables`)", test: ownTables,
		note: "`NamingStrategy: models.Tables{DagRun: \"workflow_run\"}`. Two tables of one name are refused (`repo.ErrInvalid`).",
	},
	{name: "its own models, with usher's embedded", test: embeddedCore, note: "Further columns in usher's tables: see below."},
	{name: "`AutoMigrate` of these", test: autoMigratedCore, note: "Better give them to `Migrate`: see below."},
	{name: "`gorm.G`", test: generics, note: "`gorm.G[T](tx, locking.SkipLocked())`, and models of usher's."},
	{name: "a context that is cancelled in a pass", test: cancelled, note: "Nothing is half done, and the error is `context.Canceled`."},
	{name: "a context with a deadline", test: pastDeadline, note: "The same, with `context.DeadlineExceeded`. mattn's and glebarez' SQLite wait for a lock to the end of `busy_timeout` first."},
	{name: "a logger, a slow-query log", test: logged, note: "At `logger.Error` passes log nothing: a gate that is held elsewhere is no error."},
	{name: "callbacks and hooks of its own, soft delete", test: ownModels, note: "Callbacks run for usher's tables too, and may set what is stored; `locking.SkipLocked` passes over what is deleted."},
	{name: "several databases, one `locking.New()`", test: severalDatabases, note: "Also of different engines. Give each a `gorm.Config` of its own: GORM keeps what is the engine's in it."},
	{name: "pools of 1", test: poolsOf1(gorm.Config{}), glebarez: []string{"-journal=WAL", "-pool=1"}},
	{name: "a pool of 100", test: poolOf100, glebarez: []string{"-journal=WAL", "-pool=100"}},
	{name: "a `*sql.DB` of its own (`Conn:`)", test: ownPool, note: "On PostgreSQL by pgx's `stdlib`."},
	{
		name: "PgBouncer, transaction mode", test: pgBouncer, on: onlyPostgreSQL,
		note: "With `postgres.Config{PreferSimpleProtocol: true}`, and without `PrepareStmt`: PgBouncer before 1.21 knows no prepared statements, which pgx otherwise makes.",
	},
	{name: "without `parseTime`", test: dsn("parseTime=false"), on: onlyMySQL, note: "usher reads its times itself; your own models need it."},
	{name: "`loc` other than UTC", test: foreignTimes, on: onlyMySQL, note: "Schedulers would disagree about the time: the error says what to change."},
	{name: "WAL", test: journal("WAL"), on: onlySQLite, glebarez: []string{"-journal=WAL"}, note: "With `busy_timeout`, as in every line of SQLite."},
	{name: "a rollback journal", test: journal("DELETE"), on: onlySQLite, glebarez: []string{"-journal=DELETE"}, note: "COMMIT waits for readers; one that it does not outlast is tried again."},
}

// triedOn reports whether there is something to try on an engine.
func (u usage) triedOn(engine string) bool {
	return (u.on == nil || slices.Contains(u.on, engine)) && (u.glebarez != nil || engine != "SQLite (glebarez)")
}

// applications are the usages that are tried on an engine, each of which fills its place in docs/GORM.md.
func applications(engine string) (cases []testCase) {
	for _, u := range usages {
		if u.triedOn(engine) {
			cases = append(cases, testCase{"GORM: " + strings.ReplaceAll(u.name, "`", ""), func(w *world) { w.inTable(u.name, u.test(w)) }})
		}
	}
	return cases
}

// in is the world as an application sees it that has set up GORM in its own way.
func (w *world) in(db *gorm.DB) *world {
	if _, ok := db.Plugins[locking.Name]; !ok {
		require.NoError(w, db.Use(locking.New()))
	}
	there := *w
	there.db = db
	there.r = there.repo(repo.WithRunsPerPass(20))
	require.NoError(w, there.r.Migrate(w.ctx))
	return &there
}

// coreTime is the longest time that a run takes: more than the moment for which passes wait.
const coreTime = 30 * time.Millisecond

// coreContest is of the runs of a DAG and of a backfill.
func coreContest(w *world) map[repo.Gate]int {
	w.dag("core", 2)
	w.queue("core", 12, past, time.Minute)
	return map[repo.Gate]int{dagGate("core"): 2, w.backfill("core", 3, 12): 3}
}

// meet lets passes that have counted, and are about to read what they may start, wait for each
// other for a moment. One then goes first, and what the other has counted is so no longer.
func (w *world) meet(dbs ...*gorm.DB) {
	here := make(chan struct{})
	wait := func(tx *gorm.DB) {
		reads, _ := tx.Get("rows")
		if _, admits := tx.Statement.ConnPool.(gorm.TxCommitter); !admits || reads != true {
			return
		}
		select {
		case here <- struct{}{}:
		case <-here:
			<-time.After(5 * time.Millisecond)
		case <-time.After(3 * time.Millisecond):
		}
	}
	for _, db := range dbs {
		require.NoError(w, db.Callback().Row().Before("gorm:row").Register("app:meet", wait))
	}
}

// core lets schedulers compete over one pool or several, and sees to it that the limits hold.
func (w *world) core(dbs ...*gorm.DB) string {
	there := w.in(dbs[0])
	for _, db := range dbs[1:] {
		w.in(db)
	}
	w.meet(dbs...)
	limits := coreContest(there)
	tally := exercise.NewTally()
	require.NoError(w, race(w.ctx, tally, func(r *repo.Repo) admit { return r.Admit }, coreTime, dbs...))
	contest{}.check(there, tally, limits)
	return limitHeld
}

// refusedBy is what becomes of a usage that is refused with an error.
func (w *world) refusedBy(err, want error, name string) string {
	require.ErrorIs(w, err, want)
	var runs int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("state = ?", models.Running).Count(&runs).Error)
	require.Zero(w, runs)
	return "`" + name + "`"
}

package tests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// An upgrade goes from a version of the schema to the last one, on data, while schedulers of
// this program run. Whatever the version:
//
//  1. what was there stays, to the byte, and a run that was running keeps its slot;
//  2. no gate ever has more runs running than its limit, and each run is admitted once;
//  3. schedulers that began too early say so, and go on when the upgrade is done;
//  4. nothing is missing then.
type upgrade struct {
	*world
	from    int
	running models.DagRun
	limits  map[repo.Gate]int
	before  map[string][]map[string]any
}

// put writes rows with the columns that the tables have, as an older program did.
func (w *world) put(rows any) {
	table := &gorm.Statement{DB: w.db}
	require.NoError(w, table.Parse(rows))
	var lacking []string
	for _, column := range table.Schema.DBNames {
		if !w.db.Migrator().HasColumn(rows, column) {
			lacking = append(lacking, column)
		}
	}
	require.NoError(w, w.db.Omit(lacking...).Create(rows).Error)
}

// load fills the tables: history, a run that runs, and queued ones of a DAG and a backfill.
func (u *upgrade) load() {
	two, day := 2, func(n int) models.Time { return models.At(past.AddDate(0, 0, n)) }
	u.put(&[]models.Dag{{DagID: "d", MaxActiveRuns: &two}, {DagID: "paused", IsPaused: true}})
	b := models.Backfill{DagID: "d", FromDate: day(0), ToDate: day(9), MaxActiveRuns: 1, DagRunConf: models.JSON(`{"a":1}`), ReprocessBehavior: models.ReprocessNone, CreatedAt: day(9), UpdatedAt: day(9)}
	u.put(&b)
	u.put(&models.Job{State: models.Failed, JobType: models.UsherScheduler, StartDate: day(1), LatestHeartbeat: day(2), Hostname: "gone"})
	run := func(id string, n int, state models.State) models.DagRun {
		return models.DagRun{DagID: "d", RunID: fmt.Sprint(id, n), State: state, RunType: models.ManualRun, RunAfter: day(n), QueuedAt: day(n), CreatedAt: day(n), UpdatedAt: day(n)}
	}
	var runs []models.DagRun
	for n := range 10 {
		done, of := run("done", n, models.Success), run("backfill", n, models.Queued)
		done.StartDate, done.EndDate, done.Conf, done.ClearNumber, done.TriggeringUserName = day(n), day(n+1), models.JSON(`{"é":[1,null]}`), n, "ünï"
		of.BackfillID, of.RunType, of.LogicalDate = &b.ID, models.BackfillRun, day(n)
		runs = append(runs, done, run("queued", n, models.Queued), of)
	}
	now := run("running", 0, models.Running)
	now.StartDate = day(1)
	runs = append(runs, now)
	u.put(&runs)
	u.running = runs[len(runs)-1]
	var dates []models.BackfillDagRun
	for n := range 10 { // from the last to the first
		dates = append(dates, models.BackfillDagRun{BackfillID: b.ID, DagRunID: &runs[3*n+2].ID, LogicalDate: day(n), SortOrdinal: 10 - n})
	}
	u.put(&dates)
	u.limits = map[repo.Gate]int{dagGate("d"): two, repo.GateOf(runs[2]): 1}
}

// rows are those that no scheduler changes, read by somebody who knows no older tables.
func (u *upgrade) rows() map[string][]map[string]any {
	all, db := map[string][]map[string]any{}, u.d.Open(u)
	for _, table := range tables {
		query, key := db.Table(table), "id"
		switch table {
		case "dag":
			key = "dag_id"
		case "dag_run":
			query = query.Where("run_id LIKE 'done%'")
		}
		var rows []map[string]any
		require.NoError(u, query.Order(key).Find(&rows).Error)
		require.NotEmpty(u, rows, table)
		all[table] = rows
	}
	return all
}

// kept asserts that the rows are as they were, but for columns that are new.
func (u *upgrade) kept() {
	now := u.rows()
	for table, rows := range u.before {
		require.Len(u, now[table], len(rows), table)
		for i, row := range rows {
			maps.DeleteFunc(now[table][i], func(column string, _ any) bool {
				_, old := row[column]
				return !old
			})
			require.Equal(u, row, now[table][i], table)
		}
	}
}

// run upgrades by the function while schedulers run.
func (u *upgrade) run(do func()) {
	u.unmigrate()
	for _, text := range u.versions()[:u.from] {
		u.apply(text)
	}
	u.load()
	u.before = u.rows()
	tally := exercise.NewTally()
	require.NoError(u, tally.Up(u.running))
	const crew = 3
	failures, looked, done := make([]error, crew), make(chan error, crew), make(chan struct{})
	var all sync.WaitGroup
	for i := range crew {
		r, err := repo.New(u.d.Open(u))
		require.NoError(u, err)
		all.Go(func() {
			s := exercise.Scheduler{Repo: r, Counter: tally, Admit: patient(r, looked, done), Work: workTime, Final: models.Success}
			failures[i] = s.Run(u.ctx)
		})
	}
	old := 0
	for range crew { // another one may hold the gates
		if err := <-looked; err != nil {
			require.ErrorIs(u, err, repo.ErrNoTables)
			old++
		}
	}
	require.Equal(u, u.from < len(u.versions()), old > 0, "this program needs the last version and no other")
	do()
	close(done)
	now, err := u.r.Run(u.ctx, "d", u.running.RunID)
	require.NoError(u, err)
	require.Equal(u, models.Running, now.State)
	require.Equal(u, u.running.StartDate, now.StartDate, "it runs since then, and was not started again")
	require.NoError(u, tally.Down(u.running))
	require.NoError(u, u.r.Finish(u.ctx, u.running, models.Success))
	all.Wait()
	require.NoError(u, errors.Join(failures...))
	u.check(tally)
}

// patient is Admit that waits until the upgrade is done. It tells what became of the first pass.
func patient(r *repo.Repo, looked chan<- error, done <-chan struct{}) admit {
	var once sync.Once
	return func(ctx context.Context) ([]models.DagRun, error) {
		for {
			late := false
			select {
			case <-done:
				late = true
			case <-time.After(time.Millisecond):
			}
			runs, err := r.Admit(ctx)
			once.Do(func() { looked <- err })
			switch {
			case late && !r.Transient(err), len(runs) > 0:
				return runs, err
			case err != nil && !errors.Is(err, repo.ErrNoTables) && !r.Transient(err):
				return nil, err
			}
		}
	}
}

func (u *upgrade) check(tally *exercise.Tally) {
	things, err := u.r.Missing(u.ctx)
	require.NoError(u, err)
	require.Empty(u, things)
	u.kept()
	require.Empty(u, tally.Twice())
	for g, limit := range u.limits {
		require.LessOrEqual(u, tally.Peak(g), limit, "peak of %v", g)
		var runs []int64
		query := u.db.Model(&models.DagRun{}).Where("run_id LIKE 'queued%'").Order("run_after")
		if g.Kind == repo.BackfillGate {
			query = u.db.Model(&models.DagRun{}).Where("run_id LIKE 'backfill%'").Order("run_after DESC")
		}
		require.NoError(u, query.Where("state = ?", models.Success).Pluck("id", &runs).Error)
		require.Len(u, runs, 10, "%v", g)
		started := slices.DeleteFunc(tally.Started(g), func(id int64) bool { return id == u.running.ID })
		require.ElementsMatch(u, runs, started, "%v: each run once", g)
		if limit == 1 {
			require.Equal(u, runs, started, "in the backfill's order")
		}
	}
}

// fromEachVersion upgrades by the function from each version of the schema that there was.
func fromEachVersion(do func(u *upgrade)) func(*world) {
	return func(w *world) {
		for from := 1; from <= len(w.versions()); from++ {
			u := &upgrade{world: w, from: from}
			u.run(func() { do(u) })
		}
	}
}

// migrateTwice is Migrate in two processes at once.
func (u *upgrade) migrateTwice() {
	var both sync.WaitGroup
	failures := make([]error, 2)
	for i := range failures {
		r := u.repo()
		both.Go(func() { failures[i] = r.Migrate(u.ctx) })
	}
	both.Wait()
	require.NoError(u, errors.Join(failures...))
}

// applyRest applies the versions' files, and then what a version to come may add.
func (u *upgrade) applyRest() {
	for _, text := range u.versions()[u.from:] {
		u.apply(text)
	}
	if u.from == len(u.versions()) {
		u.aColumnMore()
	}
}

func (w *world) aColumnMore() {
	for _, table := range tables {
		w.apply("ALTER TABLE " + table + " ADD COLUMN later integer NOT NULL DEFAULT 1")
	}
}

// unnoticed: what a version to come adds disturbs no statement of any verb, which the driver has
// prepared before, or GORM.
func unnoticed(prepared bool) func(*world) {
	return func(w *world) {
		o, t := w.office(), &trace{Interface: logger.Discard}
		db := w.d.Open(w).Session(&gorm.Session{PrepareStmt: prepared})
		r, err := repo.New(db.Session(&gorm.Session{Logger: t}))
		require.NoError(w, err)
		every := func() {
			for _, v := range slices.Concat(apart[:1], reading, apart[1:]) {
				require.NoError(w, v.call(w, r, o), v.name)
			}
			for _, v := range joining {
				require.ErrorIs(w, db.Transaction(func(tx *gorm.DB) error {
					in, err := r.WithTx(tx.Session(&gorm.Session{Logger: t}))
					require.NoError(w, err)
					require.NoError(w, v.call(w, in, o), v.name)
					return errOwn
				}), errOwn)
			}
		}
		careless := func() error { return db.Find(&[]models.Dag{}).Error }
		require.NoError(w, careless())
		every()
		w.aColumnMore()
		every()
		require.NotEmpty(w, t.statements)
		require.Empty(w, t.failures)
		if w.db.Name() == "postgres" {
			require.ErrorContains(w, careless(), "0A000", "the control: it reads *")
		}
	}
}

var upgrades = []testCase{
	{"Migrate upgrades from each version with schedulers running", fromEachVersion((*upgrade).migrateTwice)},
	{"the files upgrade from each version with schedulers running", fromEachVersion((*upgrade).applyRest)},
	{"a column more is not noticed by any verb", unnoticed(false)},
	{"a column more is not noticed by any verb, with prepared statements", unnoticed(true)},
}

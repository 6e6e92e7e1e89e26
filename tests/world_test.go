// Package tests is the conformance suite: what usher promises, on every engine.
//
// Each engine has a short file that gives the suite its databases. A server that is missing is
// a failure. Scenarios carry the ids under which they were collected from Airflow's own tests
// (S…) and from reported bugs (X…).
package tests

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// A case of the suite gets a fresh, migrated database.
type testCase struct {
	name string
	test func(*world)
}

// conform runs the whole suite, and what else there is for the engine, on the databases that
// open makes: beside that of another engine, since it waits for its server half of the time.
func conform(t *testing.T, open func(testing.TB) testdb.Database, more ...[]testCase) {
	engine := open(t).Engine // a server that is missing fails here, once
	run := func(cases ...[]testCase) {
		for _, c := range slices.Concat(cases...) {
			t.Run(c.name, func(t *testing.T) { c.test(newWorld(t, open(t))) })
		}
	}
	run(memory) // of the process
	t.Parallel()
	run(append(more, applications(engine), admission, backfillGate, backfillLife, backfillCreation, backfillResumption, backfillContests, stateChanges, enqueueing, migration, versioned, upgrades, walking, contests, heldGates, between, interleavings, modelled, hostile, statements, explaining, auditing, clearing, jobs, deaths, runners, moving, embedding, joined, joinedLevels, joinedGone, observing)...)
}

// world is a database and what a scenario says about it.
type world struct {
	*testing.T
	ctx context.Context
	d   testdb.Database
	db  *gorm.DB
	r   *repo.Repo
}

// past is when the runs of scenarios were due.
var past = time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, d testdb.Database, options ...repo.Option) *world {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Duration(rounds(1))*30*time.Second) // against hanging
	t.Cleanup(cancel)
	w := &world{T: t, ctx: ctx, d: d, db: d.Open(t)}
	w.r = w.repo(append([]repo.Option{repo.WithRunsPerPass(20)}, options...)...)
	require.NoError(t, w.r.Migrate(ctx))
	return w
}

// repo is another scheduler over the same pool.
func (w *world) repo(options ...repo.Option) *repo.Repo {
	r, err := repo.New(w.db, options...)
	require.NoError(w, err)
	return r
}

// dag is D(id, limit).
func (w *world) dag(id string, limit int) {
	_, err := w.r.SetDag(w.ctx, id, repo.MaxActiveRuns(limit))
	require.NoError(w, err)
}

func (w *world) set(id string, settings ...repo.DagSetting) {
	_, err := w.r.SetDag(w.ctx, id, settings...)
	require.NoError(w, err)
}

// queue is Q(dag, n, from, step); it returns the runs.
func (w *world) queue(dag string, n int, from time.Time, step time.Duration) []models.DagRun {
	runs := make([]models.DagRun, n)
	for i := range runs {
		runs[i] = models.DagRun{DagID: dag, RunID: fmt.Sprintf("%s_%s_%d", dag, from.Format(time.RFC3339), i), RunAfter: models.At(from.Add(time.Duration(i) * step))}
	}
	runs, err := w.r.Enqueue(w.ctx, runs...)
	require.NoError(w, err)
	return runs
}

// backfill is B(b, dag, limit) with QB(b, n).
func (w *world) backfill(dag string, limit, n int) repo.Gate {
	g, err := exercise.Backfill(w.ctx, w.db, w.r, dag, limit, n)
	require.NoError(w, err)
	return g
}

// change writes columns of a backfill behind usher's back, as Airflow would.
func (w *world) change(g repo.Gate, columns map[string]any) {
	require.NoError(w, w.db.Model(&models.Backfill{ID: g.BackfillID}).UpdateColumns(columns).Error)
}

// pass is one pass of one scheduler; it returns the run_ids that it started.
func (w *world) pass() (started []string) {
	runs, err := w.r.Admit(w.ctx)
	require.NoError(w, err)
	for _, run := range runs {
		require.Equal(w, models.Running, run.State)
		started = append(started, run.RunID)
	}
	return started
}

// passes is n of them.
func (w *world) passes(n int) (started []string) {
	for range n {
		started = append(started, w.pass()...)
	}
	return started
}

func dagGate(id string) repo.Gate { return repo.Gate{Kind: repo.DagGate, DagID: id} }

// count is how many runs of a gate are in a state.
func (w *world) count(g repo.Gate, state models.State) int {
	query := w.db.Model(&models.DagRun{}).Where("dag_id = ? AND state = ?", g.DagID, state)
	if g.Kind == repo.BackfillGate {
		query = query.Where("backfill_id = ?", g.BackfillID)
	} else {
		query = query.Where("backfill_id IS NULL")
	}
	var n int64
	require.NoError(w, query.Count(&n).Error)
	return int(n)
}

// running asserts how many runs of each gate are running.
func (w *world) running(want map[repo.Gate]int) {
	w.Helper()
	for g, n := range want {
		require.Equal(w, n, w.count(g, models.Running), "running in %v", g)
	}
}

// run reads a run again.
func (w *world) run(id int64) (run models.DagRun) {
	require.NoError(w, w.db.Take(&run, id).Error)
	return run
}

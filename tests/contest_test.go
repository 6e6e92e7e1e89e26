package tests

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// admit is one pass.
type admit = func(context.Context) ([]models.DagRun, error)

// schedulers is how many compete.
const schedulers = 8

// A contest lets schedulers compete for the runs of some gates. Whatever they do:
//
//  1. no gate ever has more runs running than its limit, counted outside the database;
//  2. each queued run is admitted exactly once, and ends;
//  3. the runs of a gate start in the gate's order;
//  4. all of it ends, without an error.
type contest struct {
	gates     func(*world) map[repo.Gate]int // the gates, with their limits; queues the runs
	isolation []locking.Option
	processes bool
}

// Gates of one kind and both: the backfill of #58752 and the ordinary runs of #45388.
func dagContest(w *world) map[repo.Gate]int {
	w.dag("d", 3)
	w.queue("d", 80, past, time.Minute)
	return map[repo.Gate]int{dagGate("d"): 3}
}

func backfillContest(w *world) map[repo.Gate]int {
	w.dag("d", 1)
	return map[repo.Gate]int{w.backfill("d", 3, 80): 3}
}

func mixedContest(w *world) map[repo.Gate]int {
	limits := map[repo.Gate]int{}
	for i, id := range []string{"a", "b", "c"} {
		w.dag(id, i+1)
		w.queue(id, 20, past, time.Minute)
		limits[dagGate(id)] = i + 1
		limits[w.backfill(id, 3-i, 20)] = 3 - i
	}
	return limits
}

func (c contest) run(w *world) {
	db := w.d.Open(w, c.isolation...)
	for range rounds(1) {
		w.db.Where("1 = 1").Delete(&models.DagRun{})
		limits := c.gates(w)
		tally := exercise.NewTally()
		if c.processes {
			c.inProcesses(w, tally)
		} else {
			compete(w, tally, func(r *repo.Repo) admit { return r.Admit }, db)
		}
		c.check(w, tally, limits)
	}
}

func (c contest) inProcesses(w *world, tally *exercise.Tally) {
	var all []*process
	for range schedulers {
		all = append(all, w.spawn(work{DefaultIsolation: len(c.isolation) > 0}, tally))
	}
	for _, p := range all {
		require.NoError(w, p.wait())
	}
}

// compete runs the schedulers as goroutines, each with a repository of its own.
func compete(w *world, tally *exercise.Tally, how func(*repo.Repo) admit, db *gorm.DB) {
	require.NoError(w, race(w.ctx, tally, how, workTime, db))
}

func race(ctx context.Context, tally *exercise.Tally, how func(*repo.Repo) admit, work time.Duration, dbs ...*gorm.DB) error {
	failures := make([]error, schedulers)
	var all sync.WaitGroup
	for i := range schedulers {
		all.Go(func() {
			r, err := repo.New(dbs[i%len(dbs)])
			if err != nil {
				failures[i] = err
				return
			}
			s := exercise.Scheduler{Repo: r, Counter: tally, Admit: how(r), Work: work, Final: models.Success}
			failures[i] = s.Run(ctx)
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func (c contest) check(w *world, tally *exercise.Tally, limits map[repo.Gate]int) {
	for g, limit := range limits {
		require.LessOrEqual(w, tally.Peak(g), limit, "peak of %v", g)
		require.Positive(w, tally.Peak(g), "%v started nothing", g)
	}
	require.Empty(w, tally.Twice())
	var runs []models.DagRun
	require.NoError(w, w.db.Order("backfill_id, dag_id, run_after, id").Find(&runs).Error)
	last := map[repo.Gate]models.DagRun{}
	counted := map[repo.Gate]int{}
	for _, run := range runs {
		g := repo.GateOf(run)
		require.Equal(w, models.Success, run.State, run.RunID)
		require.False(w, run.StartDate.IsZero(), run.RunID)
		require.False(w, run.StartDate.Before(last[g].StartDate.Time), "%s started before %s", run.RunID, last[g].RunID)
		last[g] = run
		counted[g]++
	}
	for g, n := range counted {
		require.Len(w, tally.Started(g), n, "%v: each run once", g)
	}
	require.Len(w, counted, len(limits))
}

var ownIsolation = []locking.Option{locking.DefaultIsolation()}

// lockOnly is the engine's default isolation without the fence that usher adds there: on MySQL
// and MariaDB the hold alone is enough, since the snapshot is taken after it.
func lockOnly(w *world) {
	server, err := locking.Server(w.ctx, w.db)
	require.NoError(w, err)
	contest{gates: mixedContest, isolation: []locking.Option{locking.DefaultIsolation(), locking.WithStrategy(server.Strategy)}}.run(w)
}

// forced runs a contest with a strategy that the engine has, but would not be given.
func forced(s dialect.Strategy) func(*world) {
	return func(w *world) {
		strategy := s
		if !w.d.RowLocks { // the only strategy of an engine without row locks is its own
			strategy = dialect.SingleWriter
		}
		contest{gates: mixedContest, isolation: []locking.Option{locking.WithStrategy(strategy)}}.run(w)
	}
}

var contests = []testCase{
	{"8 schedulers at a DAG's gate", contest{gates: dagContest}.run},
	{"8 schedulers at a backfill's gate", contest{gates: backfillContest}.run},
	{"8 schedulers at gates of both kinds", contest{gates: mixedContest}.run},
	{"8 schedulers at gates of both kinds, default isolation", contest{gates: mixedContest, isolation: ownIsolation}.run},
	{"8 schedulers at gates of both kinds, default isolation, lock only (X04)", lockOnly},
	{"8 processes at a DAG's gate", contest{gates: dagContest, processes: true}.run},
	{"8 processes at a backfill's gate", contest{gates: backfillContest, processes: true}.run},
	{"8 processes at gates of both kinds", contest{gates: mixedContest, processes: true}.run},
	{"8 processes at gates of both kinds, default isolation", contest{gates: mixedContest, isolation: ownIsolation, processes: true}.run},
	{"8 schedulers with FOR UPDATE", forced(dialect.Strategy{Lock: dialect.ForUpdate})},
	{"8 schedulers with lock and fence", forced(dialect.Strategy{Lock: dialect.SkipLocked, Fence: true})},
	{"8 schedulers with the fence alone", forced(dialect.Strategy{Lock: dialect.NoLock, Fence: true})},
	{"control: without the gate the limit is exceeded", func(w *world) {
		for _, gates := range []func(*world) map[repo.Gate]int{dagContest, backfillContest} {
			exceeded := false
			for try := 0; try < 10 && !exceeded; try++ {
				w.db.Where("1 = 1").Delete(&models.DagRun{})
				tally := exercise.NewTally()
				for g, limit := range gates(w) {
					compete(w, tally, func(*repo.Repo) admit { return exercise.Ungated(w.db, g, limit) }, w.db)
					exceeded = tally.Peak(g) > limit
				}
				require.Empty(w, tally.Twice(), "no run starts twice, and still there are too many")
			}
			require.True(w, exceeded, "the exercise must be able to show the race")
		}
	}},
	{"X01 X03 two passes at once start what one may", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 40, past, time.Minute)
		b := w.backfill("d", 3, 60)
		started := make([][]models.DagRun, 2)
		var both sync.WaitGroup
		for i := range started {
			both.Go(func() { started[i], _ = w.repo().Admit(w.ctx) })
		}
		both.Wait()
		w.passes(2)
		w.running(map[repo.Gate]int{dagGate("d"): 1, b: 3})
		var ordinals []int
		require.NoError(w, w.db.Model(&models.BackfillDagRun{}).Where("dag_run_id IN (?)",
			w.db.Model(&models.DagRun{}).Select("id").Where("backfill_id = ? AND state = ?", b.BackfillID, models.Running)).Pluck("sort_ordinal", &ordinals).Error)
		slices.Sort(ordinals)
		require.Equal(w, []int{1, 2, 3}, ordinals)
	}},
}

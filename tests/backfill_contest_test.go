package tests

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// creators is how many make a backfill of one DAG at the same time.
const creators = 16

// pools are repositories, each with a pool of its own, as in processes of their own.
func (w *world) pools(n int, options ...repo.Option) (all []*repo.Repo) {
	for range n {
		r, err := repo.New(w.d.Open(w), options...)
		require.NoError(w, err)
		all = append(all, r)
	}
	return all
}

// atOnce lets all do something at the same time, and returns how each fared.
func atOnce(n int, do func(i int) error) []error {
	results := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			results[i] = do(i)
		})
	}
	close(start)
	all.Wait()
	return results
}

// active are the active backfills of DAG d.
func (w *world) active() []models.Backfill {
	found, err := w.r.Backfills(w.ctx, "d", false)
	require.NoError(w, err)
	return found
}

// mixture makes dates of all kinds for mixed, and ends what there was.
func mixture(w *world) {
	for _, b := range w.active() {
		_, err := w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
	}
	require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
	w.dag("d", 16)
	w.exists("d", 1, models.Success)
	w.exists("d", 2, models.Running)
	w.exists("d", 3, models.Failed)
}

// mixed is a request with dates of all kinds.
func mixed() repo.BackfillRequest {
	return repo.BackfillRequest{DagID: "d", Schedule: repo.Dates(day(1), day(2), day(3), day(4), day(5)), Reprocess: models.ReprocessFailed}
}

// createAndDie makes the backfill of mixed, and kills its own process before a statement of it;
// COMMIT counts as one.
func createAndDie(ctx context.Context, db *gorm.DB, r *repo.Repo, before int) error {
	n := 0
	dieBefore := func(next int) {
		if next == before {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
	}
	after := func(*gorm.DB) { dieBefore(n + 1) } // what comes next may be COMMIT
	err := errors.Join(
		beforeEach(db, func(*gorm.DB) {
			n++
			dieBefore(n)
		}),
		db.Callback().Create().After("*").Register("test:after", after),
		db.Callback().Update().After("*").Register("test:after", after),
		db.Callback().Query().After("*").Register("test:after", after),
	)
	if err != nil {
		return err
	}
	_, _, err = r.CreateBackfill(ctx, mixed())
	return err
}

// createInTheMiddle lets something happen in the middle of a creation, before each statement of
// it in turn. What happens after the creation has written to a run waits for its end: it comes
// as late. Where there is one writer, the only point is before the creation has become it.
func createInTheMiddle(existing models.State, behavior models.ReprocessBehavior, happens func(w *world, run models.DagRun) error, check func(w *world, late bool, err error, dates []string)) func(*world) {
	return func(w *world) {
		w.dag("e", 2)
		statements, writes := 1, 0
		for at := 0; at <= statements; at++ { // 0 is a creation in peace
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
			w.dag("d", 16)
			w.queue("e", 4, past, 0)
			q := daily(w, 1, 3)
			q.Reprocess, q.MaxActiveRuns = behavior, 1
			var run models.DagRun
			if existing != "" {
				run = w.exists("d", 2, existing)
			}
			happened := make(chan error, 1)
			count := 0
			db := w.d.Open(w)
			late := false
			require.NoError(w, beforeEach(db, func(tx *gorm.DB) {
				count++
				if at == 0 && writes == 0 && writesRuns(tx) {
					writes = count
				}
				if count != at {
					return
				}
				_, err := w.r.Admit(w.ctx) // passes over the gate that is held
				require.NoError(w, err)
				if late = at > writes && writes > 0; late {
					go func() { happened <- happens(w, run) }()
				} else {
					happened <- happens(w, run)
				}
			}))
			r, err := repo.New(db)
			require.NoError(w, err)
			b, dates, err := r.CreateBackfill(w.ctx, q)
			require.NoError(w, err)
			w.storedBackfill(b, dates)
			if at == 0 {
				require.Positive(w, writes)
				if w.d.RowLocks {
					statements = count
				}
			} else {
				check(w, late, <-happened, told(dates))
			}
			w.passes(3)
			w.running(map[repo.Gate]int{dagGate("e"): 2, {Kind: repo.BackfillGate, DagID: "d", BackfillID: b.ID}: 1})
			_, err = w.r.CancelBackfill(w.ctx, b.ID)
			require.NoError(w, err)
		}
	}
}

// writesRuns tells whether a statement that is about to be sent inserts or changes runs.
func writesRuns(tx *gorm.DB) bool {
	switch tx.Statement.Dest.(type) {
	case []models.DagRun:
		return true
	case map[string]any:
		return tx.Statement.Table == "dag_run"
	}
	return false
}

var backfillContests = []testCase{
	{"X13 16 creators of a backfill: one is active, the others are told", func(w *world) {
		w.dag("d", 16)
		all := w.pools(creators)
		for round := range rounds(50) {
			made := make([]models.Backfill, creators)
			results := atOnce(creators, func(i int) (err error) {
				q := daily(w, 1+i, 3+i)
				q.Reprocess = models.ReprocessFailed
				made[i], _, err = all[i].CreateBackfill(w.ctx, q)
				return err
			})
			active := w.active()
			require.Len(w, active, 1, "round %d", round)
			for i, err := range results {
				if err == nil {
					require.Equal(w, active[0], made[i], "round %d", round)
				} else {
					require.ErrorIs(w, err, repo.ErrBackfillActive, "round %d", round)
				}
			}
			require.Equal(w, 3, w.runs("backfill_id = ? AND state = 'queued'", active[0].ID))
			_, err := w.r.CancelBackfill(w.ctx, active[0].ID)
			require.NoError(w, err)
		}
		require.Zero(w, w.runs("state = 'queued'"), "none but the active ones has queued anything")
	}},
	{"16 creators of backfills that may be parallel: none of the active overlap", func(w *world) {
		w.dag("d", 16)
		all := w.pools(creators, repo.WithParallelBackfills())
		for round := range rounds(10) {
			results := atOnce(creators, func(i int) error {
				q := daily(w, 1+i%6, 2+i%6)
				q.Reprocess = models.ReprocessFailed
				_, _, err := all[i].CreateBackfill(w.ctx, q)
				return err
			})
			active := w.active()
			slices.SortFunc(active, func(a, b models.Backfill) int { return a.FromDate.Compare(b.FromDate.Time) })
			for i := range active[1:] {
				require.True(w, active[i].ToDate.Before(active[i+1].FromDate.Time), "round %d: %v", round, active)
			}
			won := 0
			for _, err := range results {
				if err == nil {
					won++
				} else {
					require.ErrorIs(w, err, repo.ErrBackfillActive)
				}
			}
			require.Len(w, active, won)
			require.GreaterOrEqual(w, won, 2)
			for _, b := range active {
				_, err := w.r.CancelBackfill(w.ctx, b.ID)
				require.NoError(w, err)
			}
		}
	}},
	{"a creator and some who resume: one backfill is active", func(w *world) {
		w.dag("d", 16)
		var ended []int64
		for i := range 3 {
			b, _ := w.create(daily(w, 1+3*i, 2+3*i))
			_, err := w.r.CancelBackfill(w.ctx, b.ID)
			require.NoError(w, err)
			ended = append(ended, b.ID)
		}
		all := w.pools(4)
		for range rounds(20) {
			results := atOnce(4, func(i int) (err error) {
				if i < 3 {
					_, _, err = all[i].ResumeBackfill(w.ctx, ended[i])
				} else {
					_, _, err = all[i].CreateBackfill(w.ctx, daily(w, 20, 21))
				}
				return err
			})
			active := w.active()
			require.Len(w, active, 1)
			for _, err := range results {
				if err != nil {
					require.ErrorIs(w, err, repo.ErrBackfillActive)
				}
			}
			_, err := w.r.CancelBackfill(w.ctx, active[0].ID)
			require.NoError(w, err)
		}
	}},
	{"a creator that is killed at any statement leaves nothing", func(w *world) {
		mixture(w)
		statements := 0
		db := w.d.Open(w)
		require.NoError(w, beforeEach(db, func(*gorm.DB) { statements++ }))
		counted, err := repo.New(db)
		require.NoError(w, err)
		_, _, err = counted.CreateBackfill(w.ctx, mixed())
		require.NoError(w, err)
		for n := 1; n <= statements+1; n++ { // the last is COMMIT
			mixture(w)
			before := w.everything()
			err := w.spawn(work{KilledBefore: n}, exercise.NewTally()).wait()
			var exit *exec.ExitError
			require.ErrorAs(w, err, &exit, "killed before statement %d", n)
			require.Equal(w, -1, exit.ExitCode(), "killed before statement %d: %v", n, err)
			require.Equal(w, before, w.everything(), "killed before statement %d", n)
			b, dates, err := w.r.CreateBackfill(w.ctx, mixed())
			require.NoError(w, err)
			w.storedBackfill(b, dates)
			require.Equal(w, []string{"01 already exists", "02 in flight", "03", "04", "05"}, told(dates))
		}
		mixture(w)
		require.NoError(w, w.spawn(work{KilledBefore: statements + 2}, exercise.NewTally()).wait())
		active := w.active()
		require.Len(w, active, 1, "one that lives makes all of it")
		dates, err := w.r.BackfillDates(w.ctx, active[0].ID)
		require.NoError(w, err)
		w.storedBackfill(active[0], dates)
	}},
	{"a date is queued, and passes are made, in the middle of a creation", createInTheMiddle("", models.ReprocessNone,
		func(w *world, _ models.DagRun) error {
			_, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d", LogicalDate: models.At(day(2))})
			return err
		},
		func(w *world, late bool, err error, dates []string) {
			if late {
				require.ErrorIs(w, err, repo.ErrExists)
				require.Equal(w, []string{"01", "02", "03"}, dates)
			} else {
				require.NoError(w, err)
				require.Equal(w, []string{"01", "02 in flight", "03"}, dates)
			}
		})},
	{"a run is queued again, and passes are made, in the middle of a creation", createInTheMiddle(models.Failed, models.ReprocessFailed,
		func(w *world, run models.DagRun) error {
			_, err := w.r.Clear(w.ctx, run)
			return err
		},
		func(w *world, late bool, err error, dates []string) {
			if errors.Is(err, repo.ErrAttempt) {
				require.True(w, late)
				require.Equal(w, []string{"01", "02", "03"}, dates)
			} else {
				require.NoError(w, err)
				require.Equal(w, []string{"01", "02 in flight", "03"}, dates)
			}
		})},
	{"a run fails once more in the middle of a creation", createInTheMiddle(models.Failed, models.ReprocessFailed,
		func(w *world, run models.DagRun) error {
			next, err := w.r.Clear(w.ctx, run)
			if err == nil {
				err = w.r.Finish(w.ctx, next, models.Failed)
			}
			return err
		},
		func(w *world, late bool, err error, dates []string) {
			if late { // beside it: the creation may begin anew between the clear and the end
				require.Contains(w, [][]string{{"01", "02", "03"}, {"01", "02 in flight", "03"}}, dates)
			} else {
				require.Equal(w, []string{"01", "02", "03"}, dates)
				require.NoError(w, err)
				require.Equal(w, 1, w.runs("logical_date = ? AND clear_number = 2", models.At(day(2))), "no attempt has the number of another")
			}
		})},
	{"a failed run is made a success in the middle of a creation", createInTheMiddle(models.Failed, models.ReprocessFailed,
		func(w *world, run models.DagRun) error {
			_, err := w.r.SetState(w.ctx, run, models.Success)
			return err
		},
		func(w *world, late bool, err error, dates []string) {
			if !late {
				require.NoError(w, err)
				require.Equal(w, []string{"01", "02 already exists", "03"}, dates)
			}
		})},
	{"a creation waits for the pass that holds the DAG's gate", func(w *world) {
		w.dag("d", 16)
		ended := make(chan error, 1)
		w.holding(dagGate("d"), func() {
			go func() {
				_, _, err := w.r.CreateBackfill(w.ctx, daily(w, 1, 2))
				ended <- err
			}()
			w.whileOthersWork()
			require.Empty(w, ended, "it must not have returned")
		})
		require.NoError(w, <-ended)
	}},
}

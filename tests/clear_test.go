package tests

import (
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// daily are n runs of a DAG with logical dates, day by day, in a state.
func (w *world) daily(dag string, n int, state models.State) []models.DagRun {
	runs := make([]models.DagRun, n)
	for i := range runs {
		runs[i] = models.DagRun{DagID: dag, LogicalDate: models.At(past.AddDate(0, 0, i))}
	}
	runs, err := w.r.Enqueue(w.ctx, runs...)
	require.NoError(w, err)
	for i := range runs {
		runs[i].SetState(models.Running, runs[i].QueuedAt)
		runs[i].SetState(state, runs[i].QueuedAt)
	}
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("dag_id = ?", dag).UpdateColumns(map[string]any{"state": state, "start_date": runs[0].StartDate, "end_date": runs[0].EndDate}).Error)
	return runs
}

// clears asks which runs are cleared, first without doing it, and checks that they are stored so.
func (w *world) clears(q repo.ClearQuery, want ...models.DagRun) {
	w.Helper()
	dry := q
	dry.DryRun = true
	would, err := w.r.ClearRuns(w.ctx, dry)
	require.NoError(w, err)
	for _, run := range want {
		require.Equal(w, run.State, w.run(run.ID).State)
	}
	cleared, err := w.r.ClearRuns(w.ctx, q)
	require.NoError(w, err)
	require.Len(w, cleared, len(want))
	require.Len(w, would, len(want))
	for i, run := range want {
		require.Equal(w, w.run(run.ID), cleared[i], "what is returned is what is stored")
		next := run
		next.SetState(models.Queued, cleared[i].QueuedAt)
		next.ClearNumber, next.UpdatedAt = run.ClearNumber+1, cleared[i].UpdatedAt
		require.Equal(w, next, cleared[i])
		would[i].QueuedAt, would[i].UpdatedAt = cleared[i].QueuedAt, cleared[i].UpdatedAt
		require.Equal(w, next, would[i])
	}
}

// nthDay is the n-th of the days of daily.
func nthDay(n int) models.Time { return models.At(past.AddDate(0, 0, n)) }

var clearing = []testCase{
	{"clear a range of logical dates", func(w *world) {
		w.dag("d", 16)
		w.dag("e", 16)
		w.daily("e", 5, models.Success)
		runs := w.daily("d", 9, models.Success)
		undated := w.queue("d", 1, past, 0)[0]
		require.NoError(w, w.r.Finish(w.ctx, undated, models.Failed))
		w.clears(repo.ClearQuery{DagID: "d", From: nthDay(2), To: nthDay(3)}, runs[2:4]...)
		w.clears(repo.ClearQuery{DagID: "d", From: nthDay(7)}, runs[7:]...)
		w.clears(repo.ClearQuery{DagID: "d", To: nthDay(0)}, runs[0])
		w.clears(repo.ClearQuery{DagID: "d", From: nthDay(2), To: nthDay(3)})
		w.clears(repo.ClearQuery{DagID: "d", States: []models.State{models.Failed}}, w.run(undated.ID))
		w.clears(repo.ClearQuery{DagID: "d"}, slices.Concat(runs[1:2], runs[4:7])...)
		require.Equal(w, 5, w.total(models.Success))
	}},
	{"clear by state: those that run only when named", func(w *world) {
		w.dag("d", 3)
		b := w.backfill("d", 2, 6)
		w.pass()
		runs := w.runsOf(b)
		w.clears(repo.ClearQuery{DagID: "d"})
		require.NoError(w, w.r.Finish(w.ctx, runs[0], models.Failed))
		other := w.queue("d", 1, past, 0)[0]
		require.NoError(w, w.r.Finish(w.ctx, other, models.Failed))
		w.clears(repo.ClearQuery{DagID: "d", BackfillID: b.BackfillID, States: []models.State{models.Failed, models.Running}}, w.run(runs[0].ID), w.run(runs[1].ID))
		require.Equal(w, models.Failed, w.run(other.ID).State, "it is of no backfill")
		require.ErrorIs(w, w.r.Finish(w.ctx, runs[1], models.Success), repo.ErrAttempt, "its attempt is over")
		require.Equal(w, []string{runs[0].RunID, runs[1].RunID}, w.pass())
	}},
	{"clear refuses nonsense, and names what is not there", func(w *world) {
		w.dag("d", 3)
		for err, queries := range map[error][]repo.ClearQuery{
			repo.ErrInvalid: {
				{}, {DagID: "d", From: nthDay(1), To: nthDay(0)}, {DagID: "d", States: []models.State{models.Queued}}, {DagID: "d", States: []models.State{"sleeping"}},
			},
			repo.ErrDagNotFound:      {{DagID: "none"}, {DagID: "none", BackfillID: 4711}},
			repo.ErrBackfillNotFound: {{DagID: "d", BackfillID: 4711}},
			nil:                      {{DagID: "d"}},
		} {
			for _, q := range queries {
				runs, got := w.r.ClearRuns(w.ctx, q)
				require.ErrorIs(w, got, err)
				require.Empty(w, runs)
			}
		}
	}},
	{"clear thousands, all or none", func(w *world) {
		w.dag("d", 5)
		runs := w.daily("d", 2600, models.Failed)
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("id > ?", runs[1300].ID).UpdateColumn("clear_number", 3).Error)
		seen := 0
		w.r = w.repo(repo.WithProgress(func(done, total int) {
			require.Equal(w, 2600, total)
			require.Greater(w, done, seen)
			seen = done
		}))
		cleared, err := w.r.ClearRuns(w.ctx, repo.ClearQuery{DagID: "d"})
		require.NoError(w, err)
		require.Len(w, cleared, 2600)
		require.Equal(w, 2600, seen)
		require.Equal(w, []int{1, 4}, []int{cleared[0].ClearNumber, cleared[2599].ClearNumber})
		require.Equal(w, 2600, w.count(dagGate("d"), models.Queued))
		require.Equal(w, w.run(runs[2599].ID), cleared[2599])
	}},
	{"clear in the middle of finishes and passes: each attempt once", func(w *world) {
		w.dag("d", 4)
		runs := w.daily("d", 40, models.Failed)
		var all sync.WaitGroup
		all.Go(func() {
			for range 20 {
				if started, err := w.repo().Admit(w.ctx); err == nil {
					for _, run := range started {
						_ = w.r.Finish(w.ctx, run, models.Success) // its attempt may be over
					}
				}
			}
		})
		times := map[int64]int{}
		for range 10 {
			cleared, err := w.r.ClearRuns(w.ctx, repo.ClearQuery{DagID: "d", States: []models.State{models.Success, models.Failed, models.Running}})
			require.NoError(w, err)
			for _, run := range cleared {
				times[run.ID]++
				require.Equal(w, times[run.ID], run.ClearNumber, "the next attempt after that of the last clearing")
			}
		}
		all.Wait()
		for _, run := range runs {
			require.Equal(w, times[run.ID], w.run(run.ID).ClearNumber)
		}
		w.pass()
		require.LessOrEqual(w, w.count(dagGate("d"), models.Running), 4)
	}},
	{"a run that ends before it is held is left alone when it no longer fits", func(w *world) {
		w.dag("d", 4)
		w.queue("d", 3, past, time.Minute)
		w.pass()
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{DagID: "d"})
		require.NoError(w, err)
		count := 0
		r := w.interrupted(1, func() { require.NoError(w, w.r.Finish(w.ctx, runs[1], models.Success)) }, &count)
		cleared, err := r.ClearRuns(w.ctx, repo.ClearQuery{DagID: "d", States: []models.State{models.Running}})
		require.NoError(w, err)
		require.Len(w, cleared, 2)
		require.Equal(w, models.Success, w.run(runs[1].ID).State)
	}},
}

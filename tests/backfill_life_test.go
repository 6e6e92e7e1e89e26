package tests

import (
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// states are the states of a backfill's runs, in its order.
func (w *world) states(g repo.Gate) (states []models.State) {
	runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: g.BackfillID})
	require.NoError(w, err)
	for _, run := range runs {
		states = append(states, run.State)
	}
	return states
}

// completed tells whether a backfill has ended.
func (w *world) completed(g repo.Gate) bool {
	b, err := w.r.Backfill(w.ctx, g.BackfillID)
	require.NoError(w, err)
	return !b.CompletedAt.IsZero()
}

var backfillLife = []testCase{
	{"S70 S71 S73 cancel fails what is queued, once", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 5)
		w.pass()
		cancelled, err := w.r.CancelBackfill(w.ctx, b.BackfillID)
		require.NoError(w, err)
		stored, err := w.r.Backfill(w.ctx, b.BackfillID)
		require.NoError(w, err)
		require.Equal(w, stored, cancelled)
		require.True(w, cancelled.IsPaused)
		require.False(w, cancelled.CompletedAt.IsZero())
		require.Equal(w, []models.State{models.Running, models.Failed, models.Failed, models.Failed, models.Failed}, w.states(b))
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID, State: models.Failed})
		require.NoError(w, err)
		for _, run := range runs {
			require.Equal(w, cancelled.CompletedAt, run.EndDate)
		}
		for _, change := range []func() (models.Backfill, error){
			func() (models.Backfill, error) { return w.r.CancelBackfill(w.ctx, b.BackfillID) },
			func() (models.Backfill, error) { return w.r.PauseBackfill(w.ctx, b.BackfillID) },
			func() (models.Backfill, error) { return w.r.UnpauseBackfill(w.ctx, b.BackfillID) },
			func() (models.Backfill, error) { return w.r.LimitBackfill(w.ctx, b.BackfillID, 3) },
		} {
			_, err := change()
			require.ErrorIs(w, err, repo.ErrCompleted)
		}
		unchanged, err := w.r.Backfill(w.ctx, b.BackfillID)
		require.NoError(w, err)
		require.Equal(w, stored, unchanged)
		require.NoError(w, w.r.Finish(w.ctx, models.DagRun{ID: runs[0].ID - 1}, models.Success), "what ran goes on")
	}},
	{"S72 pause twice, unpause twice, change the limit", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 5)
		for range 2 {
			paused, err := w.r.PauseBackfill(w.ctx, b.BackfillID)
			require.NoError(w, err)
			require.True(w, paused.IsPaused)
		}
		require.Empty(w, w.passes(2))
		for range 2 {
			active, err := w.r.UnpauseBackfill(w.ctx, b.BackfillID)
			require.NoError(w, err)
			require.False(w, active.IsPaused)
		}
		require.Len(w, w.passes(2), 1)
		limited, err := w.r.LimitBackfill(w.ctx, b.BackfillID, 3)
		require.NoError(w, err)
		require.Equal(w, 3, limited.MaxActiveRuns)
		require.Len(w, w.passes(2), 2)
		_, err = w.r.LimitBackfill(w.ctx, b.BackfillID, -1)
		require.ErrorIs(w, err, repo.ErrInvalid)
		_, err = w.r.PauseBackfill(w.ctx, 4711)
		require.ErrorIs(w, err, repo.ErrBackfillNotFound)
		_, err = w.r.Backfill(w.ctx, 4711)
		require.ErrorIs(w, err, repo.ErrBackfillNotFound)
	}},
	{"S74 S75 S76 a backfill is complete when all its runs have ended", func(w *world) {
		w.dag("d", 16)
		b, other := w.backfill("d", 3, 3), w.backfill("d", 1, 1)
		empty, old := w.backfill("d", 1, 0), w.backfill("d", 1, 0)
		now := models.At(time.Now())
		w.change(empty, map[string]any{"created_at": now})
		w.change(old, map[string]any{"created_at": models.At(now.Add(-3 * time.Minute))})
		sweep := func() (ids []int64) {
			done, err := w.r.CompleteBackfills(w.ctx)
			require.NoError(w, err)
			for _, b := range done {
				stored, err := w.r.Backfill(w.ctx, b.ID)
				require.NoError(w, err)
				require.Equal(w, stored, b)
				ids = append(ids, b.ID)
			}
			return ids
		}
		require.Equal(w, []int64{old.BackfillID}, sweep())
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		require.Empty(w, sweep(), "running is not ended")
		for _, run := range runs {
			require.NoError(w, w.r.Finish(w.ctx, run, models.Failed))
		}
		require.Equal(w, []int64{b.BackfillID, other.BackfillID}, sweep())
		require.False(w, w.completed(empty))
		require.Empty(w, sweep())
		active, err := w.r.Backfills(w.ctx, "d", false)
		require.NoError(w, err)
		require.Len(w, active, 1)
		all, err := w.r.Backfills(w.ctx, "", true)
		require.NoError(w, err)
		require.Len(w, all, 4)
	}},
	{"X06 after a cancel or a pause has returned nothing of the backfill starts", func(w *world) {
		w.dag("d", 16)
		for i := range rounds(100) {
			b := w.backfill("d", 1000, 60)
			stop := make(chan struct{})
			failures := make([]error, schedulers)
			var all sync.WaitGroup
			for s := range schedulers {
				r := w.repo(repo.WithRunsPerPass(2))
				all.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := r.Admit(w.ctx); err != nil {
							failures[s] = err
							return
						}
					}
				})
			}
			end := w.r.PauseBackfill
			if i%2 == 0 {
				end = w.r.CancelBackfill
			}
			_, err := end(w.ctx, b.BackfillID)
			require.NoError(w, err)
			before := w.count(b, models.Running)
			for range 3 {
				w.pass()
			}
			close(stop)
			all.Wait()
			require.NoError(w, errors.Join(failures...))
			require.Equal(w, before, w.count(b, models.Running), "round %d", i)
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
		}
	}},
	{"a pause or a cancel waits for the pass that holds the gate", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 3, 5)
		for _, change := range []func() (models.Backfill, error){
			func() (models.Backfill, error) { return w.r.PauseBackfill(w.ctx, b.BackfillID) },
			func() (models.Backfill, error) { return w.r.CancelBackfill(w.ctx, b.BackfillID) },
		} {
			ended := make(chan error, 1)
			w.holding(b, func() {
				go func() {
					_, err := change()
					ended <- err
				}()
				w.whileOthersWork()
				require.Empty(w, ended, "it must not have returned")
			})
			require.NoError(w, <-ended)
		}
		require.True(w, w.completed(b))
	}},
}

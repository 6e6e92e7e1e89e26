package tests

import (
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// later is a clock for changes of state.
var later = models.At(past.AddDate(0, 0, 7))

// at is a run in a state, with all the dates that it may have.
func (w *world) at(state models.State) models.DagRun {
	run := models.DagRun{DagID: "d", RunID: "r", RunType: models.ManualRun, RunAfter: models.At(past), State: state, QueuedAt: models.At(past)}
	if state == models.Running || state.Finished() {
		run.StartDate = models.At(past.Add(time.Hour))
	}
	if state.Finished() {
		run.EndDate = models.At(past.Add(2 * time.Hour))
	}
	require.NoError(w, w.db.Where("dag_id = ?", "d").Delete(&models.DagRun{}).Error)
	require.NoError(w, w.db.Create(&run).Error)
	return run
}

// becomes is what a run in the database becomes, in state, queued_at, start_date and end_date.
func (w *world) becomes(run models.DagRun, to models.State, queued, start, end models.Time) {
	w.Helper()
	w.r = w.repo(repo.WithClock(func() time.Time { return later.Time }))
	changed, err := w.r.SetState(w.ctx, run, to)
	require.NoError(w, err)
	stored := w.run(run.ID)
	require.Equal(w, stored, changed, "what is returned is what is stored")
	require.Equal(w, []any{to, queued, start, end}, []any{stored.State, stored.QueuedAt, stored.StartDate, stored.EndDate})
}

var stateChanges = []testCase{
	{"S82 a run without a state gets one", func(w *world) {
		w.dag("d", 16)
		queued := models.At(past)
		w.becomes(w.at(""), models.Success, queued, models.Time{}, later)
		w.becomes(w.at(""), models.Running, queued, later, models.Time{})
		w.becomes(w.at(""), models.Failed, queued, models.Time{}, later)
	}},
	{"a run whose state is NULL is cleared and set as well", func(w *world) {
		w.dag("d", 16)
		for _, to := range []models.State{models.Queued, models.Running, models.Failed} {
			run := w.at("")
			require.NoError(w, w.db.Model(&run).UpdateColumn("state", nil).Error)
			_, err := w.r.SetState(w.ctx, run, to)
			require.NoError(w, err)
			require.Equal(w, to, w.run(run.ID).State)
		}
	}},
	{"only a running attempt is given back", func(w *world) {
		w.dag("d", 16)
		for _, state := range []models.State{models.Queued, models.Success, models.Failed, ""} {
			run := w.at(state)
			_, err := w.r.GiveBack(w.ctx, run)
			require.ErrorIs(w, err, repo.ErrState)
			require.Equal(w, run, w.run(run.ID))
		}
		run := w.at(models.Running)
		_, err := w.r.GiveBack(w.ctx, models.DagRun{ID: run.ID, ClearNumber: 1})
		require.ErrorIs(w, err, repo.ErrAttempt)
		_, err = w.r.GiveBack(w.ctx, models.DagRun{ID: run.ID + 1})
		require.ErrorIs(w, err, repo.ErrRunNotFound)
		require.Equal(w, run, w.run(run.ID))
		back, err := w.r.GiveBack(w.ctx, run)
		require.NoError(w, err)
		require.Equal(w, []any{models.Queued, 1, true}, []any{back.State, back.ClearNumber, back.StartDate.IsZero()})
		require.Equal(w, back, w.run(run.ID))
	}},
	{"S83 S84 S85 S86 the table of state changes", func(w *world) {
		w.dag("d", 16)
		queued, start, end := models.At(past), models.At(past.Add(time.Hour)), models.At(past.Add(2*time.Hour))
		var none models.Time
		for _, from := range []models.State{models.Success, models.Failed} {
			w.becomes(w.at(from), models.Queued, later, none, none)
			w.becomes(w.at(from), models.Running, queued, later, none)
			w.becomes(w.at(from), models.Success, queued, start, end)
			w.becomes(w.at(from), models.Failed, queued, start, end)
		}
		w.becomes(w.at(models.Running), models.Running, queued, start, none)
		w.becomes(w.at(models.Running), models.Queued, later, none, none)
		w.becomes(w.at(models.Running), models.Success, queued, start, later)
		w.becomes(w.at(models.Queued), models.Queued, later, none, none)
		w.becomes(w.at(models.Queued), models.Running, queued, later, none)
		w.becomes(w.at(models.Queued), models.Failed, queued, none, later)
	}},
	{"a run that is set running goes through its gate", func(w *world) {
		w.dag("d", 1)
		run := w.queue("d", 1, past, 0)[0]
		w.pass()
		second := w.queue("d", 1, past.Add(time.Hour), 0)[0]
		_, err := w.r.SetState(w.ctx, second, models.Running)
		require.ErrorIs(w, err, repo.ErrFull)
		require.ErrorContains(w, err, "queued", "the error names the state found")
		w.running(map[repo.Gate]int{dagGate("d"): 1})
		_, err = w.r.SetState(w.ctx, run, models.Running)
		require.NoError(w, err, "it runs already")
		require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
		w.set("d", repo.Paused(true))
		_, err = w.r.SetState(w.ctx, second, models.Running)
		require.ErrorIs(w, err, repo.ErrFull, "a paused gate lets none in")
		w.set("d", repo.Paused(false))
		_, err = w.r.SetState(w.ctx, second, models.Running)
		require.NoError(w, err)
		b := w.backfill("d", 1, 2)
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID})
		require.NoError(w, err)
		_, err = w.r.SetState(w.ctx, runs[1], models.Running)
		require.NoError(w, err)
		_, err = w.r.SetState(w.ctx, runs[0], models.Running)
		require.ErrorIs(w, err, repo.ErrFull)
	}},
	{"a value with no more than the run's id goes through the run's own gate", func(w *world) {
		w.dag("d", 1)
		var all sync.WaitGroup
		for _, run := range w.queue("d", 16, past, time.Hour) {
			all.Go(func() {
				_, err := w.r.SetState(w.ctx, models.DagRun{ID: run.ID}, models.Running)
				if err != nil && !errors.Is(err, repo.ErrFull) && !errors.Is(err, locking.ErrContention) {
					w.Error(err)
				}
			})
		}
		all.Wait()
		w.running(map[repo.Gate]int{dagGate("d"): 1})
	}},
	{"a run is queued twice at one instant", func(w *world) {
		r := w.repo(repo.WithClock(func() time.Time { return past }))
		w.dag("d", 1)
		runs, err := r.Enqueue(w.ctx, models.DagRun{DagID: "d"})
		require.NoError(w, err)
		for range 2 { // nothing changes, which MySQL and MariaDB count as no row
			again, err := r.Clear(w.ctx, runs[0])
			require.NoError(w, err)
			require.Equal(w, w.run(runs[0].ID), again)
		}
	}},
	{"a run is finished once, and an older attempt finishes nothing", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 1, past, 0)
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		first := runs[0]
		require.ErrorIs(w, w.r.Finish(w.ctx, first, models.Running), repo.ErrInvalid)
		cleared, err := w.r.Clear(w.ctx, first)
		require.NoError(w, err)
		require.Equal(w, first.ClearNumber+1, cleared.ClearNumber)
		require.ErrorIs(w, w.r.Finish(w.ctx, first, models.Success), repo.ErrAttempt)
		require.ErrorContains(w, w.r.Finish(w.ctx, first, models.Success), "queued at attempt 1, not 0", "the error names the state found")
		_, err = w.r.Clear(w.ctx, first)
		require.ErrorIs(w, err, repo.ErrAttempt)
		require.Equal(w, cleared, w.run(first.ID), "an older attempt changes nothing")
		runs, err = w.r.Admit(w.ctx)
		require.NoError(w, err)
		require.Equal(w, cleared.ClearNumber, runs[0].ClearNumber)
		require.NoError(w, w.r.Finish(w.ctx, runs[0], models.Failed))
		ended := w.run(first.ID)
		require.ErrorIs(w, w.r.Finish(w.ctx, runs[0], models.Success), repo.ErrState)
		require.ErrorContains(w, w.r.Finish(w.ctx, runs[0], models.Success), "failed", "the error names the state found")
		require.Equal(w, ended, w.run(first.ID))
		require.ErrorIs(w, w.r.Finish(w.ctx, models.DagRun{ID: 4711}, models.Success), repo.ErrRunNotFound)
		_, err = w.r.Clear(w.ctx, models.DagRun{ID: 4711})
		require.ErrorIs(w, err, repo.ErrRunNotFound)
		_, err = w.r.SetState(w.ctx, ended, "sleeping")
		require.ErrorIs(w, err, repo.ErrInvalid)
	}},
	{"many runs are finished at once, and those that cannot be keep none of the others", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 6, past, time.Hour)
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 6)
		require.NoError(w, w.r.FinishAll(w.ctx, nil, models.Success))
		require.ErrorIs(w, w.r.FinishAll(w.ctx, runs, models.Running), repo.ErrInvalid)
		require.NoError(w, w.r.FinishAll(w.ctx, runs[:2], models.Failed))
		require.Equal(w, models.Failed, w.run(runs[1].ID).State)
		require.False(w, w.run(runs[1].ID).EndDate.IsZero())
		again, err := w.r.Clear(w.ctx, runs[2])
		require.NoError(w, err)
		gone := models.DagRun{ID: 1 << 40}
		err = w.r.FinishAll(w.ctx, []models.DagRun{runs[1], runs[2], runs[3], gone, runs[4]}, models.Success)
		require.ErrorIs(w, err, repo.ErrState)
		require.ErrorIs(w, err, repo.ErrAttempt)
		require.ErrorIs(w, err, repo.ErrRunNotFound)
		require.Equal(w, models.Failed, w.run(runs[1].ID).State)
		require.Equal(w, models.Queued, w.run(runs[2].ID).State)
		require.Equal(w, models.Success, w.run(runs[3].ID).State)
		require.Equal(w, models.Success, w.run(runs[4].ID).State)
		require.NoError(w, w.r.FinishAll(w.ctx, []models.DagRun{again, runs[5]}, models.Success), "different attempts")
		require.Equal(w, 4, w.count(dagGate("d"), models.Success))
	}},
	{"more runs end with one call than a statement can name", func(w *world) {
		w.dag("d", 1)
		runs := w.queue("d", 17_000, past, 0) // padded they are 32,768, and SQLite takes 32,766
		require.NoError(w, w.r.FinishAll(w.ctx, runs, models.Success))
		require.Equal(w, 17_000, w.count(dagGate("d"), models.Success))
	}},
	{"a change waits for a pass that goes on, and a transaction is refused", func(w *world) {
		_, err := repo.New(w.db.Begin())
		require.ErrorIs(w, err, locking.ErrNested)
	}},
}

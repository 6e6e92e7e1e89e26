package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// change is what an observer was told.
type change struct {
	state models.State
	runs  []models.DagRun
}

// observed is a scheduler whose changes are noted, and read by another connection at that moment.
func (w *world) observed(options ...repo.Option) (*repo.Repo, func() []change) {
	var told []change
	other := w.d.Open(w)
	r := w.repo(append(options, repo.WithObserver(repo.Observer{
		Changed: func(ctx context.Context, state models.State, runs []models.DagRun) {
			told = append(told, change{state, runs})
			for _, run := range runs {
				var stored models.DagRun
				require.NoError(w, other.WithContext(ctx).Take(&stored, run.ID).Error)
				require.Equal(w, state, stored.State, "it is committed by now")
				if run.EndDate.IsZero() { // Finish does not read when the run ended
					stored.EndDate, stored.UpdatedAt = run.EndDate, run.UpdatedAt
				}
				require.Equal(w, stored, run)
			}
		},
	}))...)
	return r, func() []change { defer func() { told = nil }(); return told }
}

// told asserts of which runs an observer was told, and that these were all.
func (w *world) told(got []change, state models.State, runs ...models.DagRun) {
	w.Helper()
	require.Len(w, got, 1)
	require.Equal(w, state, got[0].state)
	require.ElementsMatch(w, ids(runs), ids(got[0].runs))
}

// everyChange: each verb that changes runs, one after another.
func everyChange(w *world) {
	w.dag("d", 3)
	r, next := w.observed()
	queued, err := r.Enqueue(w.ctx, models.DagRun{DagID: "d"}, models.DagRun{DagID: "d"}, models.DagRun{DagID: "d"}, models.DagRun{DagID: "d"})
	require.NoError(w, err)
	w.told(next(), models.Queued, queued...)

	admitted := w.admitted(r, 3)
	w.told(next(), models.Running, admitted...)
	w.admitted(r, 0)
	require.Empty(w, next())

	require.NoError(w, r.Finish(w.ctx, admitted[0], models.Success))
	w.told(next(), models.Success, admitted[0])
	require.ErrorIs(w, r.Finish(w.ctx, admitted[0], models.Failed), repo.ErrState)
	require.Empty(w, next())

	require.ErrorIs(w, r.FinishAll(w.ctx, admitted, models.Failed), repo.ErrState)
	w.told(next(), models.Failed, admitted[1:]...)

	again, err := r.Clear(w.ctx, admitted[0])
	require.NoError(w, err)
	w.told(next(), models.Queued, again)
	_, err = r.Clear(w.ctx, again)
	require.NoError(w, err)
	require.Empty(w, next(), "it was queued already")

	running, err := r.SetState(w.ctx, again, models.Running)
	require.NoError(w, err)
	w.told(next(), models.Running, running)
	back, err := r.GiveBack(w.ctx, running)
	require.NoError(w, err)
	w.told(next(), models.Queued, back)

	cleared, err := r.ClearRuns(w.ctx, repo.ClearQuery{DagID: "d", DryRun: true})
	require.NoError(w, err)
	require.Len(w, cleared, 2)
	require.Empty(w, next())
	cleared, err = r.ClearRuns(w.ctx, repo.ClearQuery{DagID: "d"})
	require.NoError(w, err)
	w.told(next(), models.Queued, cleared...)
}

// everyBackfillChange: the verbs of backfills, and which ones have ended.
func everyBackfillChange(w *world) {
	w.dag("d", 3)
	var ended []int64
	r, next := w.observed(repo.WithObserver(repo.Observer{
		Ended: func(_ context.Context, backfills []models.Backfill) {
			for _, b := range backfills {
				require.Equal(w, b, w.backfillNow(b.ID), "it is committed by now")
				ended = append(ended, b.ID)
			}
		},
	}))
	b, dates, err := r.CreateBackfill(w.ctx, repo.BackfillRequest{DagID: "d", From: day(1), To: day(3), Schedule: repo.Dates(day(1), day(2), day(3)), MaxActiveRuns: 1})
	require.NoError(w, err)
	var runs []models.DagRun
	for _, date := range dates {
		runs = append(runs, models.DagRun{ID: *date.DagRunID})
	}
	w.told(next(), models.Queued, runs...)
	first := w.admitted(r, 1)
	w.told(next(), models.Running, first...)
	require.Empty(w, ended)

	b, err = r.CancelBackfill(w.ctx, b.ID)
	require.NoError(w, err)
	w.told(next(), models.Failed, runs[1:]...)
	require.Equal(w, []int64{b.ID}, ended)

	_, resumed, err := r.ResumeBackfill(w.ctx, b.ID)
	require.NoError(w, err)
	w.told(next(), models.Queued, resumed...)
	require.NoError(w, r.Finish(w.ctx, first[0], models.Success))
	for range 2 {
		run := w.admitted(r, 1)
		require.NoError(w, r.Finish(w.ctx, run[0], models.Success))
	}
	_, err = r.CompleteBackfills(w.ctx)
	require.NoError(w, err)
	require.Equal(w, []int64{b.ID, b.ID}, ended)
}

// backfillNow reads a backfill again.
func (w *world) backfillNow(id int64) (b models.Backfill) {
	require.NoError(w, w.d.Open(w).Take(&b, id).Error)
	return b
}

// recoveredChange: the runs of a scheduler that died.
func recoveredChange(w *world) {
	w.dag("d", 2)
	w.queue("d", 2, past, 0)
	dead, _ := w.registered()
	its := w.admitted(dead, 2)
	r, next := w.observed(repo.WithClock(inAnHourClock))
	_, err := r.Recover(w.ctx, silence, models.Queued)
	require.NoError(w, err)
	w.told(next(), models.Queued, its...)
}

// notCommitted: what fails, and what the application has yet to commit, is not told; what had to
// be tried again is told once.
func notCommitted(w *world) {
	w.dag("d", 3)
	var retries []locking.Retry
	r, next := w.observed(repo.WithObserver(repo.Observer{
		Retried: func(_ context.Context, verb string, retry locking.Retry) {
			require.Equal(w, "admit", verb)
			retries = append(retries, retry)
		},
	}))
	for _, fate := range []error{nil, errBroken} {
		err := w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
			in, err := r.WithTx(tx)
			if err == nil {
				_, err = in.Enqueue(w.ctx, models.DagRun{DagID: "d", RunAfter: models.At(past)})
			}
			return errors.Join(err, fate)
		})
		require.ErrorIs(w, err, fate)
		require.Empty(w, next())
	}

	failures := 0
	fails := func(tx *gorm.DB) {
		if strings.HasPrefix(tx.Statement.Table, "dag_run") && failures < 2 {
			failures++
			_ = tx.AddError(locking.ErrChanged)
		}
	}
	require.NoError(w, w.db.Callback().Update().After("gorm:update").Register("test:fails", fails))
	w.told(nextAfter(w.admitted(r, 1), next), models.Running, w.runsIn("d", models.Running)...)
	require.Len(w, retries, 2)
	for i, retry := range retries {
		require.Equal(w, i+1, retry.Attempt)
		require.Equal(w, dialect.Other, retry.Class)
		require.ErrorIs(w, retry.Err, locking.ErrChanged)
	}
}

var errBroken = errors.New("broken on purpose")

// nextAfter is what was told once runs are there.
func nextAfter(_ []models.DagRun, next func() []change) []change { return next() }

func (w *world) runsIn(dag string, state models.State) (runs []models.DagRun) {
	require.NoError(w, w.db.Where("dag_id = ? AND state = ?", dag, state).Find(&runs).Error)
	return runs
}

// verbsBeginAndEnd: with their names, their contexts and their errors, the outer observer around the inner.
func verbsBeginAndEnd(w *world) {
	var said []string
	type key struct{}
	observer := func(name string) repo.Option {
		return repo.WithObserver(repo.Observer{
			Verb: func(ctx context.Context, verb string) (context.Context, func(error)) {
				said = append(said, name+" begins "+verb)
				return context.WithValue(ctx, key{}, verb), func(err error) {
					said = append(said, name+" ends "+map[bool]string{true: "well", false: "badly"}[err == nil])
				}
			},
			Passed: func(ctx context.Context, _ repo.Pass) { require.Equal(w, "admit", ctx.Value(key{})) },
		})
	}
	r := w.repo(observer("a"), observer("b"))
	require.NoError(w, w.db.Callback().Raw().Before("gorm:raw").Register("test:context", func(tx *gorm.DB) {
		require.NotNil(w, tx.Statement.Context.Value(key{}), "statements are executed with the verb's context")
	}))
	_, err := r.Enqueue(w.ctx, models.DagRun{DagID: "nope"})
	require.ErrorIs(w, err, repo.ErrDagNotFound)
	require.Equal(w, []string{"a begins enqueue", "b begins enqueue", "b ends badly", "a ends badly"}, said)
	said = nil
	w.admitted(r, 0)
	require.Equal(w, []string{"a begins admit", "b begins admit", "b ends well", "a ends well"}, said)
}

// passesAreCounted: what each came to, and what it passed over.
func passesAreCounted(w *world) {
	w.dag("d", 1)
	w.dag("e", 1)
	w.queue("d", 2, past, 0)
	w.queue("e", 2, past, 0)
	var passes []repo.Pass
	r := w.repo(repo.WithObserver(repo.Observer{Passed: func(_ context.Context, p repo.Pass) {
		passes = append(passes, p)
	}}))
	if w.d.RowLocks {
		w.holding(dagGate("d"), func() { w.admitted(r, 1) })
		w.admitted(r, 1)
		require.Equal(w, []repo.Pass{{Gates: 2, PassedOver: 1, Started: 1}, {Gates: 1, Started: 1}}, passes)
	} else {
		w.admitted(r, 2)
		require.Equal(w, []repo.Pass{{Gates: 2, Started: 2}}, passes)
	}
	passes = nil
	w.admitted(r, 0)
	require.Equal(w, []repo.Pass{{}}, passes, "both are full, so it goes to none")
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err := r.Admit(ctx)
	require.ErrorIs(w, err, context.Canceled)
	require.ErrorIs(w, passes[1].Err, context.Canceled)
}

// panicsStay: an observer that panics takes nothing from the caller, nor from the next observer.
func panicsStay(w *world) {
	w.dag("d", 1)
	w.queue("d", 2, past, 0)
	var log bytes.Buffer
	panics := repo.Observer{
		Verb:    func(context.Context, string) (context.Context, func(error)) { panic("begin") },
		Changed: func(context.Context, models.State, []models.DagRun) { panic("changed") },
		Passed:  func(context.Context, repo.Pass) { panic("passed") },
	}
	r, next := w.observed(repo.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))), repo.WithObserver(panics))
	runs := w.admitted(r, 1)
	w.told(next(), models.Running, runs...)
	for _, what := range []string{"begin", "changed", "passed"} {
		require.Contains(w, log.String(), `"panic":"`+what+`"`)
	}
}

// logsWhatMatters: the levels, and no configuration.
func logsWhatMatters(w *world) {
	var log bytes.Buffer
	logged := func() (records []map[string]any) {
		for line := range strings.Lines(log.String()) {
			var record map[string]any
			require.NoError(w, json.Unmarshal([]byte(line), &record))
			delete(record, "time")
			records = append(records, record)
		}
		log.Reset()
		return records
	}
	w.dag("d", 1)
	b := w.backfill("d", 1, 2)
	r := w.repo(repo.WithClock(inAnHourClock), repo.WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	dead, _ := w.registered()
	its := w.admitted(dead, 1)
	_, err := dead.Enqueue(w.ctx, models.DagRun{DagID: "d", Conf: models.JSON(`{"token":"hidden"}`)})
	require.NoError(w, err)

	_, err = r.Recover(w.ctx, silence, models.Queued)
	require.NoError(w, err)
	require.Equal(w, []map[string]any{{"level": "INFO", "msg": "run recovered", "dag_id": "d", "run_id": its[0].RunID, "becomes": "queued", "attempt": 1.0}}, logged())

	w.admitted(r, 1) // of the gate that was freed
	records := logged()
	require.Len(w, records, 1)
	require.Equal(w, map[string]any{"level": "DEBUG", "msg": "pass", "gates": 1.0, "passed_over": 0.0, "started": 1.0}, records[0])

	_, err = r.CancelBackfill(w.ctx, b.BackfillID)
	require.NoError(w, err)
	require.Equal(w, []map[string]any{{"level": "INFO", "msg": "backfill over", "backfill": float64(b.BackfillID), "dag_id": "d"}}, logged())
}

// waitingSince: of each gate, how long its first run has been waiting.
func waitingSince(w *world) {
	w.dag("d", 1)
	w.dag("empty", 1)
	since := func(dag string) models.Time {
		status, err := w.r.Status(w.ctx)
		require.NoError(w, err)
		for _, g := range status {
			if g.Gate == dagGate(dag) {
				return g.WaitingSince
			}
		}
		require.Fail(w, "no such gate")
		return models.Time{}
	}
	require.Zero(w, since("empty"))
	ahead := w.queue("d", 1, past.AddDate(200, 0, 0), 0)
	require.Equal(w, ahead[0].RunAfter, since("d"), "it is not due, and not before then")
	due := w.queue("d", 1, past, 0)
	require.Equal(w, due[0].QueuedAt, since("d"), "it was due when it was queued")
	w.pass()
	require.Equal(w, ahead[0].RunAfter, since("d"), "the first has started")
}

var observing = []testCase{
	{"observer: every change of a run is told once it is committed", everyChange},
	{"observer: the changes of backfills are told once they are committed", everyBackfillChange},
	{"observer: runs that are recovered are told of", recoveredChange},
	{"observer: what is not committed is not told, and what is tried again once", notCommitted},
	{"observer: verbs begin and end with their contexts", verbsBeginAndEnd},
	{"observer: passes are counted", passesAreCounted},
	{"observer: a panic stays with the observer", panicsStay},
	{"log: what matters, and no configuration", logsWhatMatters},
	{"status: since when a gate's first run waits", waitingSince},
}

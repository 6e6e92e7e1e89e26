package tests

import (
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/schedule"
)

// day is a day of January 2024.
func day(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }

// by is a schedule in UTC.
func by(w *world, expression string) repo.Schedule {
	s, err := schedule.Parse(expression, time.UTC)
	require.NoError(w, err)
	return s
}

// daily asks for a backfill of DAG d from one day of January 2024 to another.
func daily(w *world, from, to int) repo.BackfillRequest {
	return repo.BackfillRequest{DagID: "d", From: day(from), To: day(to), Schedule: by(w, "@daily")}
}

// exists makes a run of a DAG for a day, in a state.
func (w *world) exists(dag string, n int, state models.State) models.DagRun {
	runs, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: dag, RunType: models.ScheduledRun, LogicalDate: models.At(day(n)), Conf: models.JSON(`"old"`)})
	require.NoError(w, err)
	require.NoError(w, w.db.Model(&runs[0]).UpdateColumns(map[string]any{"state": state, "start_date": models.At(past), "end_date": models.At(past)}).Error)
	return w.run(runs[0].ID)
}

// create makes a backfill, which must succeed, and sees that what was returned is what is stored.
func (w *world) create(q repo.BackfillRequest) (models.Backfill, []models.BackfillDagRun) {
	w.Helper()
	would, err := w.r.DryRunBackfill(w.ctx, q)
	require.NoError(w, err)
	b, dates, err := w.r.CreateBackfill(w.ctx, q)
	require.NoError(w, err)
	w.storedBackfill(b, dates)
	require.Len(w, would, len(dates))
	for i, d := range dates { // the dry run says the same (S59)
		d.ID, d.BackfillID = 0, 0
		if would[i].DagRunID == nil {
			d.DagRunID = nil
		}
		require.Equal(w, d, would[i])
	}
	return b, dates
}

// storedBackfill sees that a backfill and its dates are stored like this, each with its own run or a reason.
func (w *world) storedBackfill(b models.Backfill, dates []models.BackfillDagRun) {
	w.Helper()
	found, err := w.r.Backfill(w.ctx, b.ID)
	require.NoError(w, err)
	require.Equal(w, found, b)
	stored, err := w.r.BackfillDates(w.ctx, b.ID)
	require.NoError(w, err)
	require.Equal(w, stored, dates)
	attached := 0
	for i, d := range dates {
		require.Equal(w, i+1, d.SortOrdinal)
		if d.DagRunID == nil {
			require.NotEmpty(w, d.ExceptionReason)
			continue
		}
		require.Empty(w, d.ExceptionReason)
		run := w.run(*d.DagRunID)
		require.Equal(w, d.LogicalDate, run.LogicalDate)
		require.Equal(w, &b.ID, run.BackfillID)
		require.Equal(w, b.DagID, run.DagID)
		attached++
	}
	require.Equal(w, attached, w.runs("backfill_id = ?", b.ID))
}

// runs counts runs.
func (w *world) runs(condition string, args ...any) int {
	var n int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Where(condition, args...).Count(&n).Error)
	return int(n)
}

// told writes dates in short: the day, and the reason for which it is skipped.
func told(dates []models.BackfillDagRun) (text []string) {
	for _, d := range dates {
		short := d.LogicalDate.Format("02")
		if d.ExceptionReason != "" {
			short += " " + string(d.ExceptionReason)
		}
		text = append(text, short)
	}
	return text
}

// everything is all the rows, to see whether something has changed.
func (w *world) everything() string {
	var dags []models.Dag
	var runs []models.DagRun
	var backfills []models.Backfill
	var dates []models.BackfillDagRun
	for _, rows := range []any{&runs, &backfills, &dates} {
		require.NoError(w, w.db.Order("id").Find(rows).Error)
	}
	require.NoError(w, w.db.Order("dag_id").Find(&dags).Error)
	text, err := json.Marshal([]any{dags, runs, backfills, dates})
	require.NoError(w, err)
	return string(text)
}

// refused sees that neither a creation nor its dry run is allowed, and that nothing was written.
func (w *world) refused(q repo.BackfillRequest, want error) {
	w.Helper()
	before := w.everything()
	_, _, err := w.r.CreateBackfill(w.ctx, q)
	require.ErrorIs(w, err, want)
	_, err = w.r.DryRunBackfill(w.ctx, q)
	if want == repo.ErrNoDates { //nolint:errorlint // S55
		require.NoError(w, err)
	} else {
		require.ErrorIs(w, err, want)
	}
	require.Equal(w, before, w.everything())
}

// reprocessing are S43 to S45 and S58: what becomes of dates that have a run.
func reprocessing(behavior models.ReprocessBehavior, again []int, want ...string) func(*world) {
	return func(w *world) {
		w.dag("d", 16)
		w.dag("noise", 16)
		before := map[int]models.DagRun{5: w.exists("d", 5, models.Success), 6: w.exists("d", 6, models.Failed), 7: w.exists("d", 7, models.Running)}
		noise := w.exists("noise", 5, models.Failed)
		q := daily(w, 3, 9)
		q.Reprocess = behavior
		b, dates := w.create(q)
		require.Equal(w, want, told(dates))
		for _, d := range dates {
			if d.DagRunID != nil {
				require.EqualValues(w, d.SortOrdinal, w.run(*d.DagRunID).SortOrdinal)
			}
		}
		require.Equal(w, noise, w.run(noise.ID))
		for n, old := range before {
			run := w.run(old.ID)
			if !slices.Contains(again, n) {
				require.Equal(w, old, run, "day %d is untouched", n)
				continue
			}
			expected := old
			expected.State, expected.RunType, expected.TriggeredBy, expected.BackfillID = models.Queued, models.BackfillRun, "backfill", &b.ID
			expected.QueuedAt, expected.UpdatedAt, expected.ClearNumber = b.CreatedAt, b.CreatedAt, 1
			expected.StartDate, expected.EndDate, expected.SortOrdinal = models.Time{}, models.Time{}, models.Place(n-2)
			require.Equal(w, expected, run, "day %d is the same row, in its next attempt", n)
			require.ErrorIs(w, w.r.Finish(w.ctx, old, models.Success), repo.ErrAttempt)
		}
		require.Equal(w, len(again)+4, w.count(repo.Gate{Kind: repo.BackfillGate, DagID: "d", BackfillID: b.ID}, models.Queued))
	}
}

// endless is a schedule of an application's own, and a bad one.
type endless func(n int, from time.Time) repo.Interval

func (s endless) Intervals(from time.Time) iter.Seq[repo.Interval] {
	return func(yield func(repo.Interval) bool) {
		for n := 0; yield(s(n, from)); n++ {
		}
	}
}

var backfillCreation = []testCase{
	{"S40 S49 a backfill and its runs, in the order of the dates", func(w *world) {
		w.dag("d", 16)
		q := daily(w, 1, 5)
		q.MaxActiveRuns, q.Conf, q.User, q.Paused = 263, models.JSON(`{ "c": [1] }`), "böb", true
		b, dates := w.create(q)
		require.Equal(w, models.Backfill{
			ID: b.ID, DagID: "d", FromDate: models.At(day(1)), ToDate: models.At(day(5)), DagRunConf: models.JSON(`{"c":[1]}`), IsPaused: true,
			ReprocessBehavior: models.ReprocessNone, MaxActiveRuns: 263, CreatedAt: b.CreatedAt, UpdatedAt: b.CreatedAt, TriggeringUserName: "böb",
		}, b)
		require.WithinDuration(w, time.Now(), b.CreatedAt.Time, time.Hour)
		require.Equal(w, []string{"01", "02", "03", "04", "05"}, told(dates))
		require.Equal(w, models.DagRun{
			ID: *dates[1].DagRunID, DagID: "d", RunID: "backfill__2024-01-02T00:00:00+00:00", State: models.Queued, RunType: models.BackfillRun,
			LogicalDate: models.At(day(2)), DataIntervalStart: models.At(day(2)), DataIntervalEnd: models.At(day(3)), RunAfter: models.At(day(3)),
			QueuedAt: b.CreatedAt, BackfillID: &b.ID, SortOrdinal: 2, Conf: b.DagRunConf, TriggeredBy: "backfill", TriggeringUserName: "böb", CreatedAt: b.CreatedAt, UpdatedAt: b.CreatedAt,
		}, w.run(*dates[1].DagRunID))
		require.Empty(w, w.passes(2), "it is paused")
		_, err := w.r.UnpauseBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		require.Equal(w, "backfill__2024-01-01T00:00:00+00:00", w.pass()[0])
	}},
	{"S41 reverse", func(w *world) {
		w.dag("d", 16)
		q := daily(w, 1, 5)
		q.Reverse, q.MaxActiveRuns = true, 1
		b, dates := w.create(q)
		require.Equal(w, 1, b.MaxActiveRuns)
		require.Equal(w, []string{"05", "04", "03", "02", "01"}, told(dates))
		require.Equal(w, []string{"backfill__2024-01-05T00:00:00+00:00"}, w.passes(2))
	}},
	{"S42 dates in flight use up a place", func(w *world) {
		w.dag("d", 16)
		w.exists("d", 2, models.Running)
		w.exists("d", 3, models.Queued)
		b, dates := w.create(daily(w, 1, 5))
		require.Equal(w, models.DefaultBackfillMaxActiveRuns, b.MaxActiveRuns)
		require.Equal(w, []string{"01", "02 in flight", "03 in flight", "04", "05"}, told(dates))
	}},
	{"S43 reprocess none", reprocessing("", nil, "03", "04", "05 already exists", "06 already exists", "07 in flight", "08", "09")},
	{"S44 reprocess failed", reprocessing(models.ReprocessFailed, []int{6}, "03", "04", "05 already exists", "06", "07 in flight", "08", "09")},
	{"S45 reprocess completed", reprocessing(models.ReprocessCompleted, []int{5, 6}, "03", "04", "05", "06", "07 in flight", "08", "09")},
	{"S46 the conf of a run that is queued again", func(w *world) {
		for i, c := range []struct{ conf, want string }{{`{"new":1}`, `{"new":1}`}, {`{}`, `{}`}, {"", `"old"`}} {
			w.dag("d", 16)
			run := w.exists("d", i+1, models.Failed)
			q := daily(w, i+1, i+1)
			q.Reprocess = models.ReprocessFailed
			if c.conf != "" {
				q.Conf = models.JSON(c.conf)
			}
			b, _ := w.create(q)
			require.Equal(w, c.want, w.run(run.ID).Conf.String())
			_, err := w.r.CancelBackfill(w.ctx, b.ID)
			require.NoError(w, err)
		}
	}},
	{"S48 one active backfill of a DAG", func(w *world) {
		w.dag("d", 16)
		w.dag("e", 16)
		b, _ := w.create(daily(w, 1, 2))
		w.refused(daily(w, 4, 5), repo.ErrBackfillActive)
		other := daily(w, 1, 2)
		other.DagID = "e"
		w.create(other)
		_, err := w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		w.create(daily(w, 4, 5))
	}},
	{"S52 S53 S60 S62 refusals, in their order", func(w *world) {
		q := repo.BackfillRequest{DagID: "d", From: time.Now().AddDate(0, 0, 9), To: time.Now().AddDate(0, 0, 5), MaxActiveRuns: -1}
		w.refused(repo.BackfillRequest{}, repo.ErrInvalid)
		w.refused(q, repo.ErrDagNotFound)
		w.dag("d", 16)
		b, _ := w.create(daily(w, 1, 2))
		w.refused(q, repo.ErrNotPeriodic)
		q.Schedule = by(w, "0 0 30 2 *")
		w.refused(q, repo.ErrDateOrder)
		q.From, q.To = q.To, q.From
		w.refused(q, repo.ErrFuture)
		q.From, q.To = day(4), day(5)
		w.refused(q, repo.ErrInvalid)
		q.MaxActiveRuns = 1
		w.refused(q, repo.ErrBackfillActive)
		_, err := w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		w.refused(q, repo.ErrNoDates)
	}},
	{"what else is invalid", func(w *world) {
		w.dag("d", 16)
		for name, spoil := range map[string]func(*repo.BackfillRequest){
			"limit":     func(q *repo.BackfillRequest) { q.MaxActiveRuns = 1 << 31 },
			"reprocess": func(q *repo.BackfillRequest) { q.Reprocess = "all" },
			"conf":      func(q *repo.BackfillRequest) { q.Conf = models.JSON("{") },
			"user":      func(q *repo.BackfillRequest) { q.User = "a\x00" },
			"from":      func(q *repo.BackfillRequest) { q.From = time.Time{} },
			"to":        func(q *repo.BackfillRequest) { q.To = day(1).AddDate(8000, 0, 0) },
			"too many":  func(q *repo.BackfillRequest) { q.Schedule = by(w, "@every 1s"); q.To = day(13) },
			"stands still": func(q *repo.BackfillRequest) {
				q.Schedule = endless(func(_ int, from time.Time) repo.Interval { return repo.Interval{Start: from, End: from} })
			},
			"before from": func(q *repo.BackfillRequest) {
				q.Schedule = endless(func(n int, from time.Time) repo.Interval {
					return repo.Interval{Start: from.AddDate(0, 0, n-1), End: from.AddDate(0, 0, n)}
				})
			},
			"backwards": func(q *repo.BackfillRequest) {
				q.Schedule = endless(func(n int, from time.Time) repo.Interval {
					return repo.Interval{Start: from.AddDate(0, 0, n), End: from.AddDate(0, 0, n-1)}
				})
			},
		} {
			q := daily(w, 1, 5)
			spoil(&q)
			before := w.everything()
			_, _, err := w.r.CreateBackfill(w.ctx, q)
			require.ErrorIs(w, err, repo.ErrInvalid, name)
			require.Equal(w, before, w.everything())
		}
		_, err := w.r.BackfillDates(w.ctx, 4711)
		require.ErrorIs(w, err, repo.ErrBackfillNotFound)
	}},
	{"S54 S55 an empty window leaves nothing behind", func(w *world) {
		w.dag("d", 16)
		q := daily(w, 3, 3) // a Wednesday
		q.Schedule = by(w, "0 0 * * MON")
		w.refused(q, repo.ErrNoDates)
		q.From, q.To = day(1), day(14)
		_, dates := w.create(q)
		require.Equal(w, []string{"01", "08"}, told(dates))
	}},
	{"S58 S59 dates that have runs", func(w *world) {
		for i, c := range []struct {
			behavior models.ReprocessBehavior
			want     []string
		}{
			{models.ReprocessNone, []string{"01", "02 already exists", "03 already exists", "04", "05"}},
			{models.ReprocessFailed, []string{"01", "02 already exists", "03", "04", "05"}},
			{models.ReprocessCompleted, []string{"01", "02", "03", "04", "05"}},
		} {
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
			w.dag("d", 16)
			w.exists("d", 2, models.Success)
			w.exists("d", 3, models.Failed)
			q := daily(w, 1, 5)
			q.Reprocess = c.behavior
			before := w.everything()
			would, err := w.r.DryRunBackfill(w.ctx, q)
			require.NoError(w, err)
			require.Equal(w, c.want, told(would))
			require.Equal(w, before, w.everything())
			b, dates := w.create(q)
			require.Equal(w, c.want, told(dates))
			require.Equal(w, 2-i, w.runs("backfill_id IS NULL"))
			_, err = w.r.CancelBackfill(w.ctx, b.ID)
			require.NoError(w, err)
		}
	}},
	{"S61 dates that are not over are left out", func(w *world) {
		r := w.repo(repo.WithClock(func() time.Time { return day(10).Add(time.Minute) }))
		w.dag("d", 16)
		_, dates, err := r.CreateBackfill(w.ctx, daily(w, 8, 11))
		require.NoError(w, err)
		require.Equal(w, []string{"08", "09"}, told(dates), "the day itself is not over")
	}},
	{"a list of dates", func(w *world) {
		w.dag("d", 16)
		q := repo.BackfillRequest{DagID: "d", Schedule: repo.Dates(day(9), day(2), day(5), day(2).Add(time.Nanosecond), day(2).In(time.FixedZone("", 3600)))}
		b, dates := w.create(q)
		require.Equal(w, []models.Time{models.At(day(2)), models.At(day(9))}, []models.Time{b.FromDate, b.ToDate})
		require.Equal(w, []string{"02", "05", "09"}, told(dates))
		run := w.run(*dates[0].DagRunID)
		require.Equal(w, []models.Time{models.At(day(2)), models.At(day(2))}, []models.Time{run.RunAfter, run.DataIntervalEnd})
		_, err := w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		q.From, q.Reprocess = day(3), models.ReprocessFailed
		_, dates = w.create(q)
		require.Equal(w, []string{"05", "09"}, told(dates))
		w.dag("e", 16)
		w.refused(repo.BackfillRequest{DagID: "e", Schedule: repo.Dates()}, repo.ErrInvalid)
	}},
	{"a run_id that a run of another date has", func(w *world) {
		w.dag("d", 16)
		_, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "backfill__2024-01-02T00:00:00+00:00", LogicalDate: models.At(day(20))},
			models.DagRun{DagID: "d", RunID: "backfill__2024-01-03T00:00:00+00:00"})
		require.NoError(w, err)
		_, dates := w.create(daily(w, 1, 4))
		require.Equal(w, []string{"01", "02 unknown", "03 unknown", "04"}, told(dates))
	}},
	{"nothing to do: every date is skipped, and the sweep ends it", func(w *world) {
		w.dag("d", 16)
		w.exists("d", 1, models.Success)
		b, dates := w.create(daily(w, 1, 1))
		require.Equal(w, []string{"01 already exists"}, told(dates))
		done, err := w.r.CompleteBackfills(w.ctx)
		require.NoError(w, err)
		require.Len(w, done, 1)
		require.Equal(w, b.ID, done[0].ID)
	}},
	{"several thousand dates, with progress", func(w *world) {
		w.dag("d", 16)
		var told []int
		r := w.repo(repo.WithProgress(func(done, total int) {
			require.Equal(w, 5002, total)
			told = append(told, done)
		}))
		q := daily(w, 1, 1)
		q.Schedule, q.To = by(w, "@hourly"), day(1).Add(2500*time.Hour)
		b, dates, err := r.CreateBackfill(w.ctx, q)
		require.NoError(w, err)
		require.Equal(w, []int{1000, 2000, 2501, 3501, 4501, 5002}, told)
		stored, err := w.r.BackfillDates(w.ctx, b.ID)
		require.NoError(w, err)
		require.Equal(w, stored, dates)
		var runs []models.DagRun
		require.NoError(w, w.db.Where("backfill_id = ?", b.ID).Order("logical_date").Find(&runs).Error)
		for i, run := range runs {
			require.Equal(w, run.ID, *dates[i].DagRunID)
			require.Equal(w, run.LogicalDate, dates[i].LogicalDate)
		}
		_, err = w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		q.Reprocess = models.ReprocessFailed
		again, dates, err := w.repo().CreateBackfill(w.ctx, q)
		require.NoError(w, err)
		require.Len(w, dates, 2501)
		require.Equal(w, 2501, w.runs("backfill_id = ? AND state = 'queued' AND clear_number = 1", again.ID))
	}},
	{"several active backfills of a DAG, as long as their ranges do not overlap", func(w *world) {
		w.dag("d", 16)
		w.r = w.repo(repo.WithParallelBackfills())
		w.create(daily(w, 10, 12))
		for _, r := range [][2]int{{12, 14}, {8, 10}, {11, 11}, {1, 20}, {10, 12}} {
			w.refused(daily(w, r[0], r[1]), repo.ErrBackfillActive)
		}
		w.create(daily(w, 13, 14))
		b, _ := w.create(daily(w, 8, 9))
		_, err := w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		w.create(daily(w, 9, 9))
		_, _, err = w.r.ResumeBackfill(w.ctx, b.ID)
		require.ErrorIs(w, err, repo.ErrBackfillActive, "a range that overlaps has been taken since")
		w.r = w.repo()
		w.refused(daily(w, 20, 21), repo.ErrBackfillActive)
	}},
}

var backfillResumption = []testCase{
	{"a cancelled backfill is resumed", func(w *world) {
		w.dag("d", 16)
		q := daily(w, 1, 4)
		q.MaxActiveRuns = 1
		b, _ := w.create(q)
		g := repo.Gate{Kind: repo.BackfillGate, DagID: "d", BackfillID: b.ID}
		first, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		require.NoError(w, w.r.Finish(w.ctx, first[0], models.Success))
		second, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		_, _, err = w.r.ResumeBackfill(w.ctx, b.ID)
		require.ErrorIs(w, err, repo.ErrNotEnded)
		_, err = w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		before := w.run(second[0].ID)
		resumed, runs, err := w.r.ResumeBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		stored, err := w.r.Backfill(w.ctx, b.ID)
		require.NoError(w, err)
		require.Equal(w, stored, resumed)
		require.False(w, stored.IsPaused)
		require.True(w, stored.CompletedAt.IsZero())
		require.Equal(w, []models.State{models.Success, models.Running, models.Queued, models.Queued}, w.states(g))
		require.Equal(w, before, w.run(second[0].ID), "what runs goes on")
		require.Len(w, runs, 2)
		for _, run := range runs {
			require.Equal(w, w.run(run.ID), run)
			require.Equal(w, 1, run.ClearNumber)
			require.Equal(w, resumed.UpdatedAt, run.QueuedAt)
		}
		w.refused(daily(w, 10, 11), repo.ErrBackfillActive)
		require.NoError(w, w.r.Finish(w.ctx, second[0], models.Failed))
		require.Equal(w, []string{"backfill__2024-01-03T00:00:00+00:00"}, w.passes(2))
	}},
	{"what cannot be resumed", func(w *world) {
		w.dag("d", 16)
		_, _, err := w.r.ResumeBackfill(w.ctx, 4711)
		require.ErrorIs(w, err, repo.ErrBackfillNotFound)
		b, _ := w.create(daily(w, 1, 2))
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		for _, run := range runs {
			require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
		}
		_, err = w.r.CompleteBackfills(w.ctx)
		require.NoError(w, err)
		_, _, err = w.r.ResumeBackfill(w.ctx, b.ID)
		require.ErrorIs(w, err, repo.ErrNoneFailed)
		_, err = w.r.SetState(w.ctx, runs[1], models.Failed)
		require.NoError(w, err)
		other, _ := w.create(daily(w, 10, 11))
		before := w.everything()
		_, _, err = w.r.ResumeBackfill(w.ctx, b.ID)
		require.ErrorIs(w, err, repo.ErrBackfillActive)
		require.Equal(w, before, w.everything())
		_, err = w.r.CancelBackfill(w.ctx, other.ID)
		require.NoError(w, err)
		_, again, err := w.r.ResumeBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		require.Len(w, again, 1)
		require.Equal(w, runs[1].ID, again[0].ID)
	}},
	{"a run that a later backfill took is not resumed", func(w *world) {
		w.dag("d", 16)
		b, _ := w.create(daily(w, 1, 2))
		_, err := w.r.CancelBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		q := daily(w, 2, 2)
		q.Reprocess = models.ReprocessFailed
		later, _ := w.create(q)
		_, err = w.r.CancelBackfill(w.ctx, later.ID)
		require.NoError(w, err)
		_, runs, err := w.r.ResumeBackfill(w.ctx, b.ID)
		require.NoError(w, err)
		require.Len(w, runs, 1)
		require.Equal(w, models.At(day(1)), runs[0].LogicalDate)
	}},
}

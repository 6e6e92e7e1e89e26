package tests

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// stored is how many runs there are.
func (w *world) stored() (n int64) {
	require.NoError(w, w.db.Model(&models.DagRun{}).Count(&n).Error)
	return n
}

var enqueueing = []testCase{
	{"what is left out is filled in", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 0)
		runs, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d"}, models.DagRun{DagID: "d"},
			models.DagRun{DagID: "d", LogicalDate: models.At(past)}, models.DagRun{DagID: "d", LogicalDate: models.At(past.Add(time.Microsecond))},
			models.DagRun{DagID: "d", BackfillID: &b.BackfillID, State: models.Success, ClearNumber: 5, ID: 12, StartDate: models.At(past)})
		require.NoError(w, err)
		require.Regexp(w, `^manual__\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00_[a-z0-9]{13}$`, runs[0].RunID)
		require.NotEqual(w, runs[0].RunID, runs[1].RunID)
		require.Equal(w, "manual__2016-01-01T00:00:00+00:00", runs[2].RunID)
		require.Equal(w, runs[2].LogicalDate, runs[2].RunAfter)
		require.Equal(w, "manual__2016-01-01T00:00:00.000001+00:00", runs[3].RunID)
		require.Equal(w, models.BackfillRun, runs[4].RunType)
		for _, run := range runs {
			require.Equal(w, run, w.run(run.ID), "what is returned is what is stored")
			require.Equal(w, models.Queued, run.State)
			require.Zero(w, run.ClearNumber)
			require.Zero(w, run.StartDate)
		}
		require.Len(w, w.pass(), 5, "what is queued for now is due now")
	}},
	{"thousands in one call, with progress", func(w *world) {
		w.dag("d", 16)
		var reports [][2]int
		w.r = w.repo(repo.WithProgress(func(done, total int) { reports = append(reports, [2]int{done, total}) }))
		runs := make([]models.DagRun, 2500)
		for i := range runs {
			runs[i] = models.DagRun{DagID: "d", RunID: fmt.Sprint(i)}
		}
		stored, err := w.r.Enqueue(w.ctx, runs...)
		require.NoError(w, err)
		require.Len(w, stored, 2500)
		require.EqualValues(w, 2500, w.stored())
		require.Equal(w, [][2]int{{1000, 2500}, {2000, 2500}, {2500, 2500}}, reports)
		ids := map[int64]bool{}
		for i, run := range stored {
			ids[run.ID] = true
			require.Equal(w, fmt.Sprint(i), run.RunID)
		}
		require.Len(w, ids, 2500)
		require.Equal(w, stored[2499], w.run(stored[2499].ID))
	}},
	{"ids are those that the database gave", func(w *world) {
		w.dag("d", 16)
		if w.d.Engine == "MySQL" || w.d.Engine == "MariaDB" { // as in Group Replication
			pool, err := w.db.DB()
			require.NoError(w, err)
			pool.SetMaxOpenConns(1)
			require.NoError(w, w.db.Exec("SET SESSION auto_increment_increment = 7").Error)
		}
		for _, run := range w.queue("d", 5, past, time.Hour) {
			require.Equal(w, run, w.run(run.ID))
		}
		w.create(daily(w, 1, 5)) // which compares as well
	}},
	{"all or none", func(w *world) {
		w.dag("d", 16)
		first, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "taken", LogicalDate: models.At(past)})
		require.NoError(w, err)
		fill := make([]models.DagRun, 1500)
		for i := range fill {
			fill[i] = models.DagRun{DagID: "d", RunID: fmt.Sprint(i)}
		}
		bad := func(want error, text string, run models.DagRun) {
			w.Helper()
			_, err := w.r.Enqueue(w.ctx, append(fill[:len(fill):len(fill)], run)...)
			require.ErrorIs(w, err, want)
			require.ErrorContains(w, err, text)
			require.EqualValues(w, 1, w.stored())
			require.Equal(w, first[0], w.run(first[0].ID))
		}
		other := int64(99)
		bad(repo.ErrExists, "taken", models.DagRun{DagID: "d", RunID: "taken"})
		bad(repo.ErrExists, "taken", models.DagRun{DagID: "d", RunID: "other", LogicalDate: models.At(past)})
		bad(repo.ErrExists, "twice", models.DagRun{DagID: "d", RunID: "7"})
		bad(repo.ErrDagNotFound, "nope", models.DagRun{DagID: "nope"})
		bad(repo.ErrBackfillNotFound, "99", models.DagRun{DagID: "d", BackfillID: &other})
		bad(repo.ErrInvalid, "empty", models.DagRun{})
		bad(repo.ErrInvalid, "251", models.DagRun{DagID: "d", RunID: strings.Repeat("é", 251)})
		bad(repo.ErrInvalid, "UTF-8", models.DagRun{DagID: "d", RunID: "\xff"})
		bad(repo.ErrInvalid, "NUL", models.DagRun{DagID: "d", RunID: "a\x00b"})
		bad(repo.ErrInvalid, "JSON", models.DagRun{DagID: "d", Conf: models.JSON("{")})
	}},
	{"ids are compared byte by byte", func(w *world) {
		ids := []string{"a", "A", "á", "a ", `o'"` + "`;--", "ß", "ss", "日本", "🚀", strings.Repeat("é", 250)}
		for _, id := range ids {
			w.dag(id, 1)
			runs, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: id, RunID: "r"}, models.DagRun{DagID: id, RunID: "R"})
			require.NoError(w, err)
			require.Equal(w, id, w.run(runs[0].ID).DagID)
		}
		dags, err := w.r.Dags(w.ctx)
		require.NoError(w, err)
		require.Len(w, dags, len(ids))
		require.Len(w, w.passes(3), len(ids), "one for each")
		for _, id := range ids {
			run, err := w.r.Run(w.ctx, id, "r")
			require.NoError(w, err)
			require.Equal(w, models.Running, run.State)
		}
	}},
	{"settings of a DAG", func(w *world) {
		dag, err := w.r.SetDag(w.ctx, "d")
		require.NoError(w, err)
		require.Equal(w, models.Dag{DagID: "d"}, dag)
		three := 3
		dag, err = w.r.SetDag(w.ctx, "d", repo.MaxActiveRuns(3), repo.Paused(true))
		require.NoError(w, err)
		require.Equal(w, models.Dag{DagID: "d", IsPaused: true, MaxActiveRuns: &three}, dag)
		dag, err = w.r.SetDag(w.ctx, "d", repo.Paused(false), repo.Stale(true))
		require.NoError(w, err)
		require.Equal(w, models.Dag{DagID: "d", IsStale: true, MaxActiveRuns: &three}, dag, "what is not given stays")
		for _, setting := range []repo.DagSetting{repo.MaxActiveRuns(-1), repo.MaxActiveRuns(1 << 31)} {
			_, err = w.r.SetDag(w.ctx, "d", setting, repo.Paused(true))
			require.ErrorIs(w, err, repo.ErrInvalid)
		}
		_, err = w.r.SetDag(w.ctx, "")
		require.ErrorIs(w, err, repo.ErrInvalid)
		found, err := w.r.Dag(w.ctx, "d")
		require.NoError(w, err)
		require.Equal(w, dag, found)
		_, err = w.r.Dag(w.ctx, "D")
		require.ErrorIs(w, err, repo.ErrDagNotFound)
	}},
	{"runs are found and listed", func(w *world) {
		w.dag("d", 1)
		w.dag("e", 1)
		runs := w.queue("d", 5, past, time.Hour)
		w.queue("e", 1, past, 0)
		b := w.backfill("d", 1, 2)
		w.pass()
		list := func(q repo.RunQuery) (ids []string) {
			found, err := w.r.Runs(w.ctx, q)
			require.NoError(w, err)
			for _, run := range found {
				ids = append(ids, run.RunID)
			}
			return ids
		}
		require.Len(w, list(repo.RunQuery{}), 8)
		require.Len(w, list(repo.RunQuery{DagID: "d"}), 7)
		require.Equal(w, []string{runs[0].RunID, "backfill_1__2022-01-01"}, list(repo.RunQuery{DagID: "d", State: models.Running}))
		require.Len(w, list(repo.RunQuery{BackfillID: b.BackfillID}), 2)
		require.Equal(w, []string{runs[2].RunID, runs[3].RunID}, list(repo.RunQuery{After: runs[1].ID, Limit: 2}))
		_, err := w.r.Runs(w.ctx, repo.RunQuery{State: "lost"})
		require.ErrorIs(w, err, repo.ErrInvalid)
		_, err = w.r.Runs(w.ctx, repo.RunQuery{Limit: -1})
		require.ErrorIs(w, err, repo.ErrInvalid)
		_, err = w.r.Run(w.ctx, "d", "nope")
		require.ErrorIs(w, err, repo.ErrRunNotFound)
		_, err = w.r.Run(w.ctx, "nope", "nope")
		require.ErrorIs(w, err, repo.ErrDagNotFound)
	}},
	{"status shows every gate", func(w *world) {
		w.dag("d", 2)
		w.set("idle", repo.Paused(true))
		w.queue("d", 5, past, time.Hour)
		active, ended, empty := w.backfill("d", 1, 3), w.backfill("d", 4, 1), w.backfill("d", 4, 0)
		w.change(ended, map[string]any{"completed_at": models.At(past), "is_paused": true})
		w.change(empty, map[string]any{"completed_at": models.At(past)})
		w.change(active, map[string]any{"is_paused": true})
		w.passes(2)
		status, err := w.r.Status(w.ctx)
		require.NoError(w, err)
		for i := range status { // see waitingSince
			require.Equal(w, status[i].Queued == 0, status[i].WaitingSince.IsZero())
			status[i].WaitingSince = models.Time{}
		}
		require.Equal(w, []repo.GateStatus{
			{Gate: dagGate("d"), MaxActiveRuns: 2, Running: 2, Queued: 3, Admits: true},
			{Gate: dagGate("idle"), MaxActiveRuns: 16},
			{Gate: active, MaxActiveRuns: 1, Queued: 3},
			{Gate: ended, MaxActiveRuns: 4, Running: 1, Admits: true},
		}, status)
	}},
}

package tests

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// audit collects what an audit finds.
func (w *world) audit(dagID string) (found []repo.Violation) {
	for v, err := range w.r.Audit(w.ctx, dagID) {
		require.NoError(w, err)
		found = append(found, v)
	}
	return found
}

// minute is an instant of synthetic histories.
func minute(n int) models.Time { return models.At(past.Add(time.Duration(n) * time.Minute)) }

// history makes runs of a gate at random, some of which are still running, never ran, or ran for no time.
func history(random *rand.Rand, g repo.Gate) []models.DagRun {
	runs := make([]models.DagRun, 25)
	for i := range runs {
		start := random.IntN(60)
		run := models.DagRun{
			DagID: g.DagID, RunID: fmt.Sprintf("%d_%d", g.BackfillID, i), RunType: models.ManualRun, RunAfter: minute(0),
			State: models.Success, StartDate: minute(start), EndDate: minute(start + random.IntN(12)),
		}
		if g.BackfillID != 0 {
			run.BackfillID = &g.BackfillID
		}
		switch random.IntN(12) {
		case 0:
			run.State, run.EndDate = models.Running, models.Time{}
		case 1:
			run.State, run.StartDate, run.EndDate = models.Queued, models.Time{}, models.Time{}
		case 2:
			run.State, run.StartDate = models.Failed, models.Time{}
		case 3:
			run.EndDate = models.Time{} // nobody knows when it ended
		case 4:
			run.State = models.Running // with the end of an earlier attempt
		}
		runs[i] = run
	}
	return runs
}

const never = 1 << 30

// span is a run's interval, in minutes, which its end does not belong to; empty when it is not known.
func span(run models.DagRun) (start, end int) {
	at := func(t models.Time) int { return int(t.Sub(past) / time.Minute) }
	switch {
	case run.StartDate.IsZero():
		return 0, 0
	case run.State == models.Running:
		return at(run.StartDate), never
	case run.EndDate.IsZero():
		return 0, 0
	}
	return at(run.StartDate), at(run.EndDate)
}

// violations is what an audit must find in a gate's runs, found by looking at every minute.
func violations(g repo.Gate, limit int, runs []models.DagRun) (found []repo.Violation) {
	var v *repo.Violation
	in := map[int64]bool{}
	for now := range 100 {
		var running []models.DagRun
		for _, run := range runs {
			if start, end := span(run); start <= now && now < end {
				running = append(running, run)
			}
		}
		if len(running) <= limit {
			if v != nil {
				v.To = minute(now)
				found = append(found, *v)
				v = nil
			}
			continue
		}
		if v == nil {
			v = &repo.Violation{Gate: g, MaxActiveRuns: limit, From: minute(now)}
			clear(in)
		}
		v.Peak = max(v.Peak, len(running))
		for _, run := range running {
			if !in[run.ID] {
				in[run.ID] = true
				v.Total++
				audited := repo.AuditedRun{ID: run.ID, RunID: run.RunID, StartDate: run.StartDate, EndDate: run.EndDate}
				if run.State == models.Running {
					audited.EndDate = models.Time{}
				}
				v.Runs = append(v.Runs, audited)
			}
		}
	}
	if v != nil {
		found = append(found, *v)
	}
	for _, v := range found {
		slices.SortFunc(v.Runs, func(a, b repo.AuditedRun) int {
			return cmp.Or(a.StartDate.Compare(b.StartDate.Time), cmp.Compare(a.ID, b.ID))
		})
	}
	return found
}

var auditing = []testCase{
	{"audit: exactly the violations of a synthetic history", func(w *world) {
		w.r = w.repo(repo.WithMaxActiveRuns(5))
		gates := map[repo.Gate]int{dagGate("a"): 2, dagGate("b"): 0, dagGate("c"): 5, dagGate("gone"): 1}
		w.dag("a", 2)
		w.dag("b", 0)
		w.set("c", repo.DefaultLimit())
		for _, limit := range []int{1, 4} {
			gates[w.backfill("a", limit, 0)] = limit
		}
		order := slices.SortedFunc(maps.Keys(gates), func(a, b repo.Gate) int {
			return cmp.Or(cmp.Compare(a.BackfillID, b.BackfillID), cmp.Compare(a.DagID, b.DagID))
		})
		total := 0
		for round := range uint64(30) {
			random := rand.New(rand.NewPCG(1, round))
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
			var want, wantOfA []repo.Violation
			for _, g := range order {
				runs := history(random, g)
				require.NoError(w, w.db.Create(&runs).Error)
				found := violations(g, gates[g], runs)
				if g.DagID != "gone" {
					want = append(want, found...)
				}
				if g.DagID == "a" {
					wantOfA = append(wantOfA, found...)
				}
			}
			require.Equal(w, want, w.audit(""), "round %d", round)
			require.Equal(w, wantOfA, w.audit("a"), "round %d", round)
			total += len(want)
		}
		require.Greater(w, total, 300)
	}},
	{"audit: no more runs are named than are bearable, and it may be left early", func(w *world) {
		w.dag("d", 0)
		w.queue("d", 1200, past, 0)
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("1 = 1").UpdateColumns(map[string]any{"state": models.Running, "start_date": minute(1)}).Error)
		w.dag("e", 0)
		running := models.DagRun{DagID: "e", RunID: "r", RunAfter: minute(0), State: models.Running, StartDate: minute(0)}
		require.NoError(w, w.db.Create(&running).Error)
		found := w.audit("")
		require.Len(w, found, 2)
		require.Len(w, found[0].Runs, 1000)
		require.Equal(w, 1200, found[0].Total)
		require.Equal(w, 1200, found[0].Peak)
		n := 0
		for _, err := range w.r.Audit(w.ctx, "") {
			require.NoError(w, err)
			n++
			break
		}
		require.Equal(w, 1, n)
	}},
	{"audit: a gated load leaves no violation behind", func(w *world) {
		for range rounds(2) {
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.Backfill{}).Error)
			mixedContest(w)
			compete(w, exercise.NewTally(), func(r *repo.Repo) admit { return r.Admit }, w.db)
			require.Empty(w, w.audit(""))
		}
	}},
	{"audit: an ungated load leaves violations behind", func(w *world) {
		for _, gates := range []func(*world) map[repo.Gate]int{dagContest, backfillContest} {
			exceeded := false
			for try := 0; try < 10 && !exceeded; try++ {
				require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
				for g, limit := range gates(w) {
					compete(w, exercise.NewTally(), func(*repo.Repo) admit { return exercise.Ungated(w.db, g, limit) }, w.db)
					for _, v := range w.audit("d") {
						exceeded = true
						require.Equal(w, g, v.Gate)
						require.Greater(w, v.Peak, limit)
						require.True(w, v.To.After(v.From.Time))
					}
				}
			}
			require.True(w, exceeded, "the history must show the race")
		}
	}},
	{"audit: a database of Airflow's, with nothing of usher's", func(w *world) {
		w.airflow()
		require.NoError(w, w.db.Exec("INSERT INTO dag (dag_id, is_paused, is_stale, max_active_tasks, max_active_runs) VALUES ('a', FALSE, TRUE, 16, 1)").Error)
		require.NoError(w, w.db.Exec("INSERT INTO backfill (id, dag_id, max_active_runs) VALUES (7, 'a', 1)").Error)
		for i, backfill := range []any{nil, nil, 7, 7, nil} {
			require.NoError(w, w.db.Exec("INSERT INTO dag_run (id, dag_id, start_date, end_date, state, run_id, run_type, backfill_id) VALUES (?, 'a', ?, ?, 'success', ?, 'manual', ?)",
				i+1, minute(i), minute(i+2), fmt.Sprint("r", i), backfill).Error)
		}
		found := w.audit("")
		require.Len(w, found, 2)
		require.Equal(w, repo.Violation{
			Gate: dagGate("a"), MaxActiveRuns: 1, From: minute(1), To: minute(2), Peak: 2, Total: 2,
			Runs: []repo.AuditedRun{{ID: 1, RunID: "r0", StartDate: minute(0), EndDate: minute(2)}, {ID: 2, RunID: "r1", StartDate: minute(1), EndDate: minute(3)}},
		}, found[0])
		require.Equal(w, repo.Gate{Kind: repo.BackfillGate, DagID: "a", BackfillID: 7}, found[1].Gate)
		require.Equal(w, []models.Time{minute(3), minute(4)}, []models.Time{found[1].From, found[1].To})
	}},
}

// memory is what cannot be measured beside other tests.
var memory = []testCase{
	{"audit: the memory does not grow with the history", func(w *world) {
		const runs = 1 << 17 // of two minutes, one each minute
		w.airflow()
		require.NoError(w, w.db.Exec("INSERT INTO dag (dag_id, max_active_tasks, max_active_runs) VALUES ('d', 16, 2)").Error)
		w.copyHistory("d", runs)
		var most uint64
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		seen, all := 0, 0
		w.r = w.repo(repo.WithProgress(func(done, total int) {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			seen, all = done, total
		}))
		require.Empty(w, w.audit(""))
		require.Equal(w, runs, all)
		require.Greater(w, seen, all-10_001)
		w.Logf("heap: %d KiB before, %d KiB at most", before.HeapAlloc>>10, most>>10)
		require.Less(w, most, before.HeapAlloc+4<<20, "of a history that has more than 16 MiB")
		require.NoError(w, w.db.Exec("UPDATE dag SET max_active_runs = 1").Error)
		require.Len(w, w.audit(""), 1, "one run overlaps the next, from the first to the last")
	}},
}

// airflow makes the tables that an audit reads as Airflow has them, and without any index.
func (w *world) airflow() {
	require.NoError(w, w.db.Migrator().DropTable(models.All()...))
	at := dialect.TimeType(w.db.Dialector)
	for _, table := range []string{
		"dag (dag_id varchar(250) PRIMARY KEY, is_paused boolean, is_stale boolean, max_active_tasks integer NOT NULL, max_active_runs integer, fileloc varchar(2000))",
		"backfill (id integer PRIMARY KEY, dag_id varchar(250) NOT NULL, from_date " + at + ", to_date " + at + ", is_paused boolean, max_active_runs integer NOT NULL, completed_at " + at + " NULL)",
		"dag_run (id integer PRIMARY KEY, dag_id varchar(250) NOT NULL, queued_at " + at + " NULL, logical_date " + at + " NULL, start_date " + at + " NULL, end_date " + at + " NULL, " +
			"state varchar(50), run_id varchar(250) NOT NULL, run_type varchar(50) NOT NULL, backfill_id integer)",
	} {
		require.NoError(w, w.db.Exec("CREATE TABLE "+table).Error)
	}
}

// copyHistory makes n runs of a DAG (a power of 2), of two minutes each, that start minute by minute, by doubling.
func (w *world) copyHistory(dag string, n int) {
	require.NoError(w, w.db.Exec("INSERT INTO dag_run (id, dag_id, run_id, run_type, state, start_date, end_date) VALUES (1, ?, 'r', 'manual', 'success', ?, ?)", dag, minute(0), minute(2)).Error)
	later := map[string]string{
		"postgres": "%s + %d * interval '1 minute'", "mysql": "%s + INTERVAL %d MINUTE", "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', %s, '+%d minutes')",
	}[w.db.Name()]
	for have := 1; have < n; have *= 2 {
		require.NoError(w, w.db.Exec(fmt.Sprintf("INSERT INTO dag_run (id, dag_id, run_id, run_type, state, start_date, end_date) SELECT id + %d, dag_id, run_id, run_type, state, "+later+", "+later+" FROM dag_run",
			have, "start_date", have, "end_date", have)).Error)
	}
}

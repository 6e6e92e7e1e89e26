package tests

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// dags makes so many DAGs d00, d01, …, each with a limit and queued runs, and says what runs when
// their gates are full.
func (w *world) dags(n, limit, queued int) map[repo.Gate]int {
	full := map[repo.Gate]int{}
	for i := range n {
		id := fmt.Sprintf("d%02d", i)
		w.dag(id, limit)
		w.queue(id, queued, past, time.Hour)
		full[dagGate(id)] = limit
	}
	return full
}

// walks are the statements that look for gates.
func (t *trace) walks() (walks []string) {
	for _, s := range t.statements {
		if strings.Contains(s, "_ring") {
			walks = append(walks, s)
		}
	}
	return walks
}

var walking = []testCase{
	{"every gate gets its turn within one round of the ring", func(w *world) {
		want := w.dags(12, 1, 3)
		for _, g := range slices.Collect(maps.Keys(want)) {
			want[w.backfill(g.DagID, 1, 3)] = 1
		}
		w.r = w.repo(repo.WithGatesPerPass(3))
		for range 4 {
			require.Len(w, w.pass(), 6, "three of each kind")
		}
		w.running(want)
		require.Empty(w, w.pass())
	}},
	{"the walk looks behind its place only where the ring ends, and at once when it had to the last time", func(w *world) {
		r, t := w.traced(repo.WithGatesPerPass(3))
		w.admitted(r, 0) // without gates, it begins before them all
		w.dags(12, 1, 1)
		behind := regexp.MustCompile(`g\.dag_id <= `)
		for pass, want := range []struct{ started, walks, behind int }{{3, 1, 1}, {3, 1, 0}, {3, 1, 0}, {3, 1, 0}, {0, 2, 1}, {0, 1, 1}} {
			t.statements = nil
			w.admitted(r, want.started)
			walks := t.walks()
			require.Len(w, walks, want.walks, "pass %d", pass)
			require.Len(w, behind.FindAllString(strings.Join(walks, "\n"), -1), want.behind, "pass %d", pass)
		}
	}},
	{"schedulers that have found nothing do not meet", func(w *world) {
		w.dags(12, 1, 0)
		var idle []*repo.Repo
		for range 20 {
			idle = append(idle, w.repo(repo.WithGatesPerPass(1)))
			w.admitted(idle[len(idle)-1], 0)
		}
		for i := range 12 {
			w.queue(fmt.Sprintf("d%02d", i), 1, past, 0)
		}
		first := map[string]bool{}
		for _, r := range idle {
			first[w.admitted(r, 1)[0].DagID] = true
			w.requeueAll()
		}
		require.Greater(w, len(first), 1)
	}},
	{"a pass of one gate finds the backfill beside a DAG that somebody holds", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past, 0)
		b := w.backfill("d", 1, 1)
		w.r = w.repo(repo.WithRunsPerPass(1))
		if !w.d.RowLocks { // nobody holds a gate alone
			w.passes(2)
			w.running(map[repo.Gate]int{dagGate("d"): 1, b: 1})
			return
		}
		w.holding(dagGate("d"), func() {
			for range w.r.AdmitAll(w.ctx) {
			}
			w.running(map[repo.Gate]int{dagGate("d"): 0, b: 1})
		})
	}},
	{"a hog does not starve the others, whatever finishes in it", func(w *world) {
		w.dag("hog", 1000)
		w.queue("hog", 400, past, time.Minute)
		want := map[repo.Gate]int{}
		for i := range 6 {
			id := fmt.Sprintf("d%d", i)
			w.dag(id, 1)
			w.queue(id, 2, past.AddDate(3, 0, 0), time.Hour)
			want[dagGate(id)] = 1
		}
		w.r = w.repo(repo.WithRunsPerPass(4)) // two gates of a kind at a time
		for range 4 * 4 {                     // one pass of four walks on
			runs, err := w.r.Admit(w.ctx)
			require.NoError(w, err)
			for _, run := range runs {
				if run.DagID == "hog" {
					require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
				}
			}
		}
		w.running(want)
	}},
	{"a pass takes as many gates as it needs, and a walk serves several passes", func(w *world) {
		want := w.dags(40, 10, 12)
		r, t := w.traced(repo.WithRunsPerPass(20)) // ten gates of a kind at a time
		gates, walks, started := []int{}, 0, 0
		for runs, err := range r.AdmitAll(w.ctx) {
			require.NoError(w, err)
			started += len(runs)
			if len(t.walks()) > 0 {
				walks++ // where the ring ends it takes two statements
			}
			for _, s := range t.statements {
				if strings.Contains(s, " AS slots") {
					names := regexp.MustCompile(`d\d\d\b`).FindAllString(s, -1)
					slices.Sort(names)
					gates = append(gates, len(slices.Compact(names)))
				}
			}
			t.statements = nil
		}
		require.Equal(w, 400, started)
		w.running(want)
		require.Equal(w, 10, gates[0])
		require.LessOrEqual(w, slices.Min(gates[:len(gates)-3]), 3)
		require.Less(w, walks, len(gates)*3/4)
	}},
	{"gates that were found ahead, and are full by now, keep no pass from the others", func(w *world) {
		w.dags(10, 10, 10)
		r := w.repo(repo.WithRunsPerPass(20))
		for range 4 {
			w.admitted(r, 20) // by fewer gates each time, so that some are left
		}
		for range w.r.AdmitAll(w.ctx) {
		}
		w.dag("z", 1)
		w.queue("z", 1, past, 0)
		require.Equal(w, "z", w.admitted(r, 1)[0].DagID)
	}},
	{"a gate that was just freed is filled without a look at the others, but for every fourth pass", func(w *world) {
		w.dags(20, 1, 10)
		r, t := w.traced()
		running := w.admitted(r, 20)
		walks := []int{}
		for pass := range 8 {
			require.NoError(w, r.Finish(w.ctx, running[3], models.Success))
			t.statements = nil
			running[3] = w.admitted(r, 1)[0]
			require.Equal(w, "d03", running[3].DagID)
			if len(t.walks()) > 0 {
				walks = append(walks, pass)
			}
		}
		require.Len(w, walks, 2)
		require.Equal(w, 4, walks[1]-walks[0])
	}},
	{"a gate that was just freed, and has nothing waiting, keeps no pass from the others", func(w *world) {
		w.dag("a", 1)
		w.dag("b", 1)
		w.queue("a", 1, past, time.Hour)
		runs := w.admitted(w.r, 1)
		w.queue("b", 1, past, time.Hour)
		require.NoError(w, w.r.Finish(w.ctx, runs[0], models.Success))
		require.Equal(w, "b", w.admitted(w.r, 1)[0].DagID)
	}},
	{"one run a pass still reaches every gate", func(w *world) {
		w.dag("d", 5)
		w.queue("d", 5, past, time.Hour)
		b := w.backfill("d", 5, 5)
		w.r = w.repo(repo.WithRunsPerPass(1))
		for range 10 {
			require.Len(w, w.pass(), 1)
		}
		w.running(map[repo.Gate]int{dagGate("d"): 5, b: 5})
	}},
	{"a small gate that is always busy does not starve a larger one", func(w *world) {
		w.dag("d", 5)
		w.queue("d", 5, past, time.Hour)
		w.backfill("d", 1, 200)
		w.r = w.repo(repo.WithRunsPerPass(1))
		for range 100 {
			runs, err := w.r.Admit(w.ctx)
			require.NoError(w, err)
			for _, run := range runs {
				if run.BackfillID != nil {
					require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
				}
			}
		}
		w.running(map[repo.Gate]int{dagGate("d"): 5})
	}},
	{"AdmitAll goes on until nothing more can start", func(w *world) {
		want := w.dags(10, 7, 9)
		w.r = w.repo(repo.WithRunsPerPass(8))
		started, passes := 0, 0
		for runs, err := range w.r.AdmitAll(w.ctx) {
			require.NoError(w, err)
			require.NotEmpty(w, runs)
			started += len(runs)
			passes++
		}
		require.Equal(w, 70, started)
		require.Greater(w, passes, 8)
		w.running(want)
		for range w.r.AdmitAll(w.ctx) {
			require.Fail(w, "nothing was left to start")
		}
	}},
	{"AdmitAll that is stopped early loses nothing", func(w *world) {
		w.dag("d", 10)
		w.queue("d", 10, past, time.Hour)
		w.r = w.repo(repo.WithRunsPerPass(3))
		for runs, err := range w.r.AdmitAll(w.ctx) {
			require.NoError(w, err)
			require.Len(w, runs, 3)
			break
		}
		w.running(map[repo.Gate]int{dagGate("d"): 3})
		require.Equal(w, 7, w.count(dagGate("d"), models.Queued))
	}},
	{"a gate in which a run has finished is looked at first", func(w *world) {
		ids := map[string][]models.DagRun{}
		for i := range 8 {
			id := fmt.Sprintf("d%d", i)
			w.dag(id, 1)
			ids[id] = w.queue(id, 2, past, time.Hour)
		}
		w.r = w.repo(repo.WithRunsPerPass(4)) // two gates of a kind at a time
		for range w.r.AdmitAll(w.ctx) {
		}
		for _, id := range slices.Sorted(maps.Keys(ids)) {
			require.NoError(w, w.r.Finish(w.ctx, ids[id][0], models.Success))
			require.Equal(w, []string{ids[id][1].RunID}, w.pass())
		}
	}},
	{"options and arguments that make no sense are refused", func(w *world) {
		for _, option := range []repo.Option{
			repo.WithGatesPerPass(0), repo.WithGatesPerPass(201), repo.WithRunsPerPass(0), repo.WithRunsPerPass(10_001),
			repo.WithMaxActiveRuns(-1), repo.WithLogger(nil),
		} {
			_, err := repo.New(w.db, option)
			require.ErrorIs(w, err, repo.ErrInvalid)
		}
	}},
}

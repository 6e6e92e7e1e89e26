package tests

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// first is the lowest key of the data, beyond what the engine gives to rows of its own.
const first int64 = 1 << 40

// someRuns are runs of a gate, the first so many of them running, in the gate's order.
func someRuns(dag string, backfill *int64, id int64, running, queued int) (runs []models.DagRun) {
	for i := range running + queued {
		run := models.DagRun{
			ID: id + int64(i), DagID: dag, RunID: dag + strconv.Itoa(int(id-first)+i), RunType: models.ManualRun, BackfillID: backfill,
			RunAfter: models.At(past.Add(time.Duration(i) * time.Hour)), CreatedAt: models.At(past), UpdatedAt: models.At(past),
		}
		run.SetState(models.Queued, models.At(past))
		if i < running {
			run.SetState(models.Running, models.At(past))
		}
		runs = append(runs, run)
	}
	return runs
}

func (d data) withDag(id string, limit int) data {
	d.dags, d.limit = append(d.dags, models.Dag{DagID: id, MaxActiveRuns: &limit}), limit
	return d
}

// withRuns adds runs at the DAG's gate.
func (d data) withRuns(dag string, running, queued int) data {
	d.runs = append(d.runs, someRuns(dag, nil, first+int64(len(d.runs)), running, queued)...)
	return d
}

// withBackfill adds a backfill whose order is not that of its runs' dates.
func (d data) withBackfill(dag string, limit, running, queued int) data {
	id := first
	d.backfills = append(d.backfills, models.Backfill{
		ID: id, DagID: dag, MaxActiveRuns: limit, ReprocessBehavior: models.ReprocessNone,
		FromDate: models.At(past), ToDate: models.At(past), CreatedAt: models.At(past), UpdatedAt: models.At(past),
	})
	runs := someRuns(dag, &id, first+int64(len(d.runs)), running, queued)
	for i := range runs {
		runs[i].RunAfter = models.At(past.Add(-time.Duration(i) * time.Hour))
		d.places = append(d.places, models.BackfillDagRun{ID: first + int64(i), BackfillID: id, DagRunID: &runs[i].ID, LogicalDate: runs[i].RunAfter, SortOrdinal: i + 1})
	}
	d.runs = append(d.runs, runs...)
	return d
}

// atDag and atBackfill are a gate with limit 2, one run running and three queued.
func atDag() data      { return data{}.withDag("d", 2).withRuns("d", 1, 3) }
func atBackfill() data { return data{}.withDag("d", 2).withBackfill("d", 2, 1, 3) }

// paused are the same with a backfill, or a DAG, that is paused.
func pausedBackfill() data {
	d := atBackfill()
	d.backfills[0].IsPaused = true
	return d
}

func pausedDag() data {
	d := atDag()
	d.dags[0].IsPaused = true
	return d
}

// The operations.

var pass = operation{
	name: "pass", passes: true,
	do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) { return r.Admit(ctx) },
}

// finish and clear are of the n-th run.
func finish(d data, n int) operation {
	return operation{
		name: "finish " + d.runs[n].RunID, touches: d.runs[n : n+1], may: []error{repo.ErrState, repo.ErrAttempt},
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			return nil, r.Finish(ctx, d.runs[n], models.Success)
		},
	}
}

func requeueing(d data, n int) operation {
	return operation{
		name: "clear " + d.runs[n].RunID, touches: d.runs[n : n+1], requeues: true, may: []error{repo.ErrAttempt},
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			run, err := r.Clear(ctx, d.runs[n])
			return []models.DagRun{run}, err
		},
	}
}

func setRunning(d data, n int) operation {
	return operation{
		name: "start " + d.runs[n].RunID, starts: true, may: []error{repo.ErrFull},
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			was, err := r.Run(ctx, d.runs[n].DagID, d.runs[n].RunID)
			if err != nil || was.State == models.Running {
				return nil, err
			}
			run, err := r.SetState(ctx, was, models.Running)
			return []models.DagRun{run}[:map[bool]int{true: 1}[err == nil]], err
		},
	}
}

func enqueue(backfill *int64) operation {
	return operation{
		name: "enqueue", adds: true, requeues: true,
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			return r.Enqueue(ctx, models.DagRun{DagID: "d", BackfillID: backfill, RunID: "new", RunAfter: models.At(past.AddDate(-1, 0, 0))})
		},
	}
}

func setDag(name string, forbids bool, limit int, settings ...repo.DagSetting) operation {
	return operation{
		name: name, forbids: forbids, limit: limit,
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			_, err := r.SetDag(ctx, "d", settings...)
			return nil, err
		},
	}
}

func ofBackfill(name string, forbids bool, limit int, do func(*repo.Repo, context.Context, int64) (models.Backfill, error)) operation {
	return operation{
		name: name, forbids: forbids, limit: limit, may: []error{repo.ErrCompleted},
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			_, err := do(r, ctx, first)
			return nil, err
		},
	}
}

func cancelling(op operation) operation {
	op.cancels = true
	return op
}

// create makes a backfill of two dates.
var create = operation{
	name: "create", adds: true, requeues: true, may: []error{repo.ErrBackfillActive},
	do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
		b, dates, err := r.CreateBackfill(ctx, repo.BackfillRequest{DagID: "d", From: day(1), To: day(2), Schedule: repo.Dates(day(1), day(2))})
		var runs []models.DagRun
		for _, date := range dates {
			runs = append(runs, models.DagRun{ID: *date.DagRunID, DagID: "d", BackfillID: &b.ID})
		}
		return runs, err
	},
}

// recovery queues the n-th run again, whose scheduler has fallen silent.
func recovery(d data, n int) operation {
	return operation{
		name: "recover", touches: d.runs[n : n+1], requeues: true, again: true,
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			return r.Recover(ctx, time.Hour, models.Queued)
		},
	}
}

// withDeadScheduler has the runs that run in the hands of a scheduler that is silent since long.
func (d data) withDeadScheduler() data {
	id := first
	d.jobs = []models.Job{{ID: id, State: models.Running, JobType: models.UsherScheduler, StartDate: models.At(past), LatestHeartbeat: models.At(past)}}
	for i := range d.runs {
		if d.runs[i].State == models.Running {
			d.runs[i].ScheduledByJobID = &id
		}
	}
	return d
}

func limitTo(n int) func(*repo.Repo, context.Context, int64) (models.Backfill, error) {
	return func(r *repo.Repo, ctx context.Context, id int64) (models.Backfill, error) {
		return r.LimitBackfill(ctx, id, n)
	}
}

var (
	pauseDag       = setDag("pause DAG", true, 0, repo.Paused(true))
	staleDag       = setDag("make DAG stale", true, 0, repo.Stale(true))
	unpauseDag     = setDag("unpause DAG", false, 0, repo.Paused(false))
	raiseDag       = setDag("limit DAG to 3", false, 3, repo.MaxActiveRuns(3))
	lowerDag       = setDag("limit DAG to 1", true, 0, repo.MaxActiveRuns(1))
	pauseBackfill  = ofBackfill("pause", true, 0, (*repo.Repo).PauseBackfill)
	unpause        = ofBackfill("unpause", false, 0, (*repo.Repo).UnpauseBackfill)
	cancelBackfill = cancelling(ofBackfill("cancel", true, 0, (*repo.Repo).CancelBackfill))
	raiseBackfill  = ofBackfill("limit to 3", false, 3, limitTo(3))
	lowerBackfill  = ofBackfill("limit to 1", true, 0, limitTo(1))
	sweep          = operation{
		name: "sweep", completes: true,
		do: func(ctx context.Context, r *repo.Repo) ([]models.DagRun, error) {
			_, err := r.CompleteBackfills(ctx)
			return nil, err
		},
	}
)

// meet is a situation in which operations meet, starting a known number of runs, or -1.
func meet(where string, d data, starts int, ops ...operation) situation {
	name := where + ":"
	for _, op := range ops {
		name += " " + op.name + " and"
	}
	return situation{name: strings.TrimSuffix(name, " and"), data: d, ops: ops, starts: starts}
}

// situations are all of them. A new operation is a line here.
func situations() []situation {
	dead, deadOfBackfill, free := atDag().withDeadScheduler(), atBackfill().withDeadScheduler(), data{}.withDag("d", 2).withRuns("d", 1, 2)
	dag, backfill, b := atDag(), atBackfill(), first
	last, over := data{}.withDag("d", 2).withBackfill("d", 2, 0, 1), data{}.withDag("d", 2).withBackfill("d", 2, 1, 0)
	return []situation{
		meet("DAG", dag, 1, pass, pass),
		meet("DAG", dag, -1, pass, finish(dag, 0)),
		meet("DAG", dag, 1, pass, finish(dag, 1)),
		meet("DAG", dag, -1, pass, requeueing(dag, 0)),
		meet("DAG", dag, 1, pass, requeueing(dag, 1)),
		meet("DAG", dag, -1, pass, setRunning(dag, 3)),
		meet("DAG", dag, -1, pass, raiseDag),
		meet("DAG", dag, -1, pass, lowerDag),
		meet("DAG", dag, -1, pass, pauseDag),
		meet("DAG", dag, -1, pass, staleDag),
		meet("DAG, paused", pausedDag(), -1, pass, unpauseDag),
		meet("DAG", dag, 1, pass, enqueue(nil)),
		meet("backfill", backfill, 1, pass, pass),
		meet("backfill", backfill, -1, pass, finish(backfill, 0)),
		meet("backfill", backfill, 1, pass, finish(backfill, 1)),
		meet("backfill", backfill, -1, pass, requeueing(backfill, 0)),
		meet("backfill", backfill, -1, pass, setRunning(backfill, 3)),
		meet("backfill", backfill, -1, pass, raiseBackfill),
		meet("backfill", backfill, -1, pass, lowerBackfill),
		meet("backfill", backfill, -1, pass, pauseBackfill),
		meet("backfill, paused", pausedBackfill(), -1, pass, unpause),
		meet("backfill", backfill, -1, pass, cancelBackfill),
		meet("backfill", backfill, -1, pass, pauseDag),
		meet("backfill", backfill, 1, pass, enqueue(&b)),
		meet("backfill", backfill, -1, pass, sweep),
		meet("backfill, the last run", last, -1, pass, sweep),
		meet("backfill, over", over, 0, finish(over, 0), sweep),
		meet("backfill, over", over, 0, requeueing(over, 0), sweep),
		meet("backfill", backfill, 0, cancelBackfill, requeueing(backfill, 0)),
		meet("backfill", backfill, 0, cancelBackfill, pauseBackfill),
		meet("backfill", backfill, 0, sweep, cancelBackfill),
		meet("DAG", dag, 0, finish(dag, 0), finish(dag, 0)),
		meet("DAG", dag, 0, finish(dag, 0), requeueing(dag, 0)),
		meet("DAG", dag, 0, requeueing(dag, 0), requeueing(dag, 0)),
		meet("DAG", dag, 0, setRunning(dag, 1), setRunning(dag, 2)),
		meet("DAG", dead, -1, pass, recovery(dead, 0)),
		meet("backfill", deadOfBackfill, -1, pass, recovery(deadOfBackfill, 0)),
		meet("DAG", dead, 0, recovery(dead, 0), recovery(dead, 0)),
		meet("DAG", dead, 0, recovery(dead, 0), finish(dead, 0)),
		meet("DAG", dead, 0, recovery(dead, 0), requeueing(dead, 0)),
		meet("DAG without backfill", free, 0, create, create),
		meet("DAG without backfill", free, -1, pass, create),
		meet("backfill", backfill, 0, cancelBackfill, create),
		meet("backfill, over", over, 0, sweep, create),
		overlapping(),
		meet("both gates", data{}.withDag("d", 2).withRuns("d", 1, 2).withBackfill("d", 2, 1, 2), 2, pass, pass),
	}
}

// triples are three operations at a time.
func triples() []situation {
	dag, backfill := atDag(), atBackfill()
	return []situation{
		meet("DAG", dag, -1, pass, pass, finish(dag, 0)),
		meet("DAG", dag, -1, pass, requeueing(dag, 0), finish(dag, 0)),
		meet("backfill", backfill, -1, pass, pass, pauseBackfill),
		meet("backfill", backfill, -1, pass, finish(backfill, 0), sweep),
	}
}

// overlapping: one pass looks at the gates a and b, the other at b and c.
func overlapping() situation {
	d := data{}
	for _, id := range []string{"a", "b", "c"} {
		d = d.withDag(id, 1)
	}
	d = d.withRuns("a", 0, 2).withRuns("b", 0, 2).withRuns("c", 0, 2)
	s := meet("DAGs a and b, b and c", d, 3, pass, pass)
	for i := range 40 { // among so few rows MySQL would read them all, and hold them all at REPEATABLE READ
		idle := 1
		d.dags = append(d.dags, models.Dag{DagID: "idle" + strconv.Itoa(i), MaxActiveRuns: &idle})
	}
	s.data, s.options = d, []repo.Option{repo.WithGatesPerPass(2)}
	s.prepare = func(w *world, d *data, repos []*repo.Repo) {
		for _, r := range repos { // without gates, they begin before them all
			w.admitted(r, 0)
		}
		data{}.withDag("0", 1).withDag("a", 1).withRuns("0", 0, 1).withRuns("a", 0, 1).insert(w)
		w.admitted(repos[1], 2) // two are as many as a pass looks at, so it goes on behind them
	}
	return s
}

// interleave explores all situations: every order in the long form, and in the short one those
// with one change of hands, but for the first situation, which is explored whole. At other
// levels than usher's own the short form has every third situation, and at SERIALIZABLE the
// long form has the orders with two changes of hands.
func interleave(isolation string, options ...locking.Option) func(*world) {
	return func(w *world) {
		all := situations()
		switch own := len(options) == 0; {
		case prove():
			if own { // once is enough: they take the longest
				all = append(all, triples()...)
			}
			w.long()
		case !own:
			all = everyThird(all[2:])
		}
		w.interleave(all, isolation, options...)
	}
}

// everyThird are the first situation, the fourth, and so on.
func everyThird(all []situation) (some []situation) {
	for i := 0; i < len(all); i += 3 {
		some = append(some, all[i])
	}
	return some
}

// long gives a proof the time of its long form.
func (w *world) long() {
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Hour)
	w.Cleanup(cancel)
	w.ctx = ctx
}

func (w *world) interleave(all []situation, isolation string, options ...locking.Option) {
	orders := 0
	for i, s := range all {
		s.isolation = isolation
		w.Run(s.name, func(t *testing.T) {
			changes, most := 1, 100_000
			if isolation == serializable { // MySQL may choose another victim each time, so that the end is far
				most = 50
			}
			switch {
			case prove() && isolation == serializable: // where no order is as good as another, they are too many
				changes, most = 2, 500
			case prove() || i == 0:
				changes = -1
			}
			here := *w
			here.T = t
			e := here.explored(s, changes, most, options...)
			require.Empty(t, e.broken)
			orders += e.orders
		})
	}
	w.Logf("%s: %d orders of %d situations", w.d.Engine, orders, len(all))
}

// isolated explores the situations at a level that is the default of none of the engines but
// can be made so, where the engine has it.
func isolated(level string, engines ...string) func(*world) {
	return func(w *world) {
		if slices.Contains(engines, w.d.Engine) {
			interleave(level, locking.DefaultIsolation())(w)
		}
	}
}

// leftOut: the orders that the explorer takes to come to the same as others do so: without
// leaving any out, no other ending is seen.
func leftOut(w *world) {
	dag, backfill := atDag(), atBackfill()
	all := []situation{meet("DAG", dag, -1, finish(dag, 0), requeueing(dag, 0))}
	if prove() {
		all = append(all, meet("DAG", dag, -1, pass, pass), meet("DAG", dag, -1, pass, finish(dag, 0)),
			meet("DAG", dag, -1, pass, finish(dag, 1)), meet("backfill", backfill, -1, pass, pauseBackfill), meet("backfill", backfill, -1, pass, enqueue(&backfill.backfills[0].ID)))
	}
	for _, s := range all {
		some := w.explored(s, -1, 100_000)
		every := w.explorer(s, -1)
		every.every = true
		every.all(20_000)
		require.Empty(w, every.broken)
		require.Greater(w, every.orders, some.orders)
		require.ElementsMatch(w, slices.Collect(maps.Keys(some.ends)), slices.Collect(maps.Keys(every.ends)))
		w.Logf("%s: %d endings, of %d orders and of %d", s.name, len(some.ends), some.orders, every.orders)
	}
}

var interleavings = []testCase{
	{"every order of two operations, READ COMMITTED", interleave("")},
	{"every order of two operations, default isolation", interleave("", ownIsolation...)},
	{"every order of two operations, REPEATABLE READ", isolated(repeatableRead, "PostgreSQL")}, // the default of the others
	{"every order of two operations, SERIALIZABLE", isolated(serializable, "PostgreSQL", "MySQL", "MariaDB")},
	{"every order of two operations, one in the caller's transaction, default isolation", callersAt("")},
	{"every order of two operations, one in the caller's transaction, REPEATABLE READ", callersAt(repeatableRead, "PostgreSQL")},
	{"every order of two operations, one in the caller's transaction, SERIALIZABLE", callersAt(serializable, "PostgreSQL", "MySQL", "MariaDB")},
	{"the orders that are left out come to the same", leftOut},
	{"control: orders that break other ways are found", control},
}

package tests

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// model is usher without a database: the rules of admission and of changes of state, in as
// few words as they can be said. What the database holds must be the same after every operation.
type model struct {
	*world
	schedulers []*repo.Repo
	now        time.Time
	dags       map[string]*models.Dag
	backfills  []*models.Backfill
	places     map[int64]int // of a run in its backfill's order
	dated      map[int64]bool
	runs       []*models.DagRun
}

// defaultLimit is the limit of a DAG that has none of its own.
const defaultLimit = 2

// newModel begins with empty tables and three DAGs.
func newModel(w *world) *model {
	m := &model{world: w, now: past, dags: map[string]*models.Dag{}, places: map[int64]int{}, dated: map[int64]bool{}}
	(&explorer{world: w}).clean()
	for _, options := range [][]repo.Option{{}, {repo.WithRunsPerPass(2)}, {repo.WithGatesPerPass(1)}} {
		m.schedulers = append(m.schedulers, w.repo(append(options, repo.WithMaxActiveRuns(defaultLimit), repo.WithClock(func() time.Time { return m.now }))...))
	}
	for _, id := range []string{"a", "A", "b"} {
		_, err := m.schedulers[0].SetDag(w.ctx, id)
		require.NoError(w, err)
		m.dags[id] = &models.Dag{DagID: id}
	}
	return m
}

func (m *model) at() models.Time { return models.At(m.now) }

// any of the schedulers.
func (m *model) any(t *rapid.T) *repo.Repo {
	return rapid.SampledFrom(m.schedulers).Draw(t, "scheduler")
}

func (m *model) anyDag(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "A", "b"}).Draw(t, "dag")
}

// pick draws one of the things that there are. Where there are none, the step does not apply: rapid
// takes another instead, and fails when none applies. No test is left out by it.
func pick[T any](t *rapid.T, from []T, what string) T {
	if len(from) == 0 {
		t.Skip("no " + what)
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(t, what)]
}

// limitOf is a gate's limit, and whether it lets runs in.
func (m *model) limitOf(g repo.Gate) (limit int, admits bool) {
	dag := m.dags[g.DagID]
	limit, admits = defaultLimit, !dag.IsPaused && !dag.IsStale
	if dag.MaxActiveRuns != nil {
		limit = *dag.MaxActiveRuns
	}
	for _, b := range m.backfills {
		if g.Kind == repo.BackfillGate && b.ID == g.BackfillID {
			limit, admits = b.MaxActiveRuns, admits && (!b.IsPaused || !b.CompletedAt.IsZero())
		}
	}
	return limit, admits
}

// room is how many runs a gate may start.
func (m *model) room(g repo.Gate) int {
	limit, admits := m.limitOf(g)
	if !admits {
		return 0
	}
	for _, run := range m.runs {
		if repo.GateOf(*run) == g && run.State == models.Running {
			limit--
		}
	}
	return max(0, limit)
}

// due are a gate's queued runs that are due, in its order.
func (m *model) due(g repo.Gate) (due []*models.DagRun) {
	for _, run := range m.runs {
		if repo.GateOf(*run) == g && run.State == models.Queued && !run.RunAfter.After(m.now) {
			due = append(due, run)
		}
	}
	place := func(run *models.DagRun) int {
		if m.places[run.ID] == 0 {
			return 1 << 30
		}
		return m.places[run.ID]
	}
	slices.SortFunc(due, func(a, b *models.DagRun) int {
		byPlace := cmp.Compare(place(a), place(b))
		if byPlace == 0 && m.places[a.ID] > 0 {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Or(byPlace, a.RunAfter.Compare(b.RunAfter.Time), cmp.Compare(a.ID, b.ID))
	})
	return due
}

func (m *model) gates() (gates []repo.Gate) {
	for id := range m.dags {
		gates = append(gates, dagGate(id))
	}
	for _, b := range m.backfills {
		gates = append(gates, repo.Gate{Kind: repo.BackfillGate, DagID: b.DagID, BackfillID: b.ID})
	}
	return gates
}

// start moves the runs that were admitted, which must be the first of their gates, and fit.
func (m *model) start(t *rapid.T, admitted []models.DagRun) {
	of := map[repo.Gate][]models.DagRun{}
	for _, run := range admitted {
		of[repo.GateOf(run)] = append(of[repo.GateOf(run)], run)
	}
	for g, runs := range of {
		if room := m.room(g); len(runs) > room {
			t.Fatalf("%v started %d runs and has room for %d", g, len(runs), room)
		}
		due := m.due(g)
		for i, run := range runs {
			if i >= len(due) || due[i].ID != run.ID {
				t.Fatalf("%v started %s as its run %d, out of order", g, run.RunID, i+1)
			}
		}
		for i := range runs {
			due[i].SetState(models.Running, m.at())
			due[i].UpdatedAt = m.at()
		}
	}
}

// The operations.

func (m *model) pass(t *rapid.T) {
	runs, err := m.any(t).Admit(m.ctx)
	require.NoError(t, err)
	m.start(t, runs)
}

// all: when nothing more can start, no gate has room and a run that is due.
func (m *model) all(t *rapid.T) {
	for runs, err := range m.any(t).AdmitAll(m.ctx) {
		require.NoError(t, err)
		m.start(t, runs)
	}
	for _, g := range m.gates() {
		if m.room(g) > 0 && len(m.due(g)) > 0 {
			t.Fatalf("%v has room, and %s is due", g, m.due(g)[0].RunID)
		}
	}
}

func (m *model) later(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute)
}

func (m *model) setDag(t *rapid.T) {
	dag, n := m.dags[m.anyDag(t)], rapid.IntRange(0, 4).Draw(t, "limit")
	yes := rapid.Bool().Draw(t, "yes")
	var setting repo.DagSetting
	switch rapid.IntRange(0, 3).Draw(t, "setting") {
	case 0:
		setting, dag.MaxActiveRuns = repo.MaxActiveRuns(n), &n
	case 1:
		setting, dag.MaxActiveRuns = repo.DefaultLimit(), nil
	case 2:
		setting, dag.IsPaused = repo.Paused(yes), yes
	default:
		setting, dag.IsStale = repo.Stale(yes), yes
	}
	_, err := m.any(t).SetDag(m.ctx, dag.DagID, setting)
	require.NoError(t, err)
}

// enqueue queues runs in one call, of a DAG or of a backfill, with a place in its order or without.
func (m *model) enqueue(t *rapid.T) {
	run := models.DagRun{DagID: m.anyDag(t)}
	place := 0
	if len(m.backfills) > 0 && rapid.Bool().Draw(t, "of a backfill") {
		b := pick(t, m.backfills, "backfill")
		run.DagID, run.BackfillID = b.DagID, &b.ID
		place = rapid.IntRange(0, 5).Draw(t, "place")
	}
	var runs []models.DagRun
	for i := range rapid.IntRange(1, 4).Draw(t, "runs") {
		run.RunID = "r" + strconv.Itoa(len(m.runs)+i)
		run.RunAfter = models.At(m.now.Add(time.Duration(rapid.IntRange(-3, 2).Draw(t, "hours")) * time.Hour))
		runs = append(runs, run)
	}
	stored, err := m.any(t).Enqueue(m.ctx, runs...)
	require.NoError(t, err)
	for _, run := range stored {
		if place > 0 {
			require.NoError(t, m.db.Create(&models.BackfillDagRun{BackfillID: *run.BackfillID, DagRunID: &run.ID, LogicalDate: run.RunAfter, SortOrdinal: place}).Error)
			m.places[run.ID], m.dated[*run.BackfillID] = place, true
		}
		m.runs = append(m.runs, &run)
	}
}

// backfill makes one as Airflow does; usher's own way has tests of its own.
func (m *model) backfill(t *rapid.T) {
	b := &models.Backfill{
		DagID: m.anyDag(t), MaxActiveRuns: rapid.IntRange(0, 3).Draw(t, "limit"), ReprocessBehavior: models.ReprocessNone,
		FromDate: m.at(), ToDate: m.at(), CreatedAt: m.at(), UpdatedAt: m.at(),
	}
	require.NoError(t, m.db.Create(b).Error)
	m.backfills = append(m.backfills, b)
}

func (m *model) change(t *rapid.T) {
	b, n := pick(t, m.backfills, "backfill"), rapid.IntRange(0, 3).Draw(t, "limit")
	changes := []struct {
		do func(context.Context, int64) (models.Backfill, error)
		to func()
	}{
		{m.any(t).PauseBackfill, func() { b.IsPaused = true }},
		{m.any(t).UnpauseBackfill, func() { b.IsPaused = false }},
		{func(ctx context.Context, id int64) (models.Backfill, error) {
			return m.any(t).LimitBackfill(ctx, id, n)
		}, func() { b.MaxActiveRuns = n }},
		{m.any(t).CancelBackfill, func() {
			b.IsPaused, b.CompletedAt = true, m.at()
			for _, run := range m.runs {
				if run.State == models.Queued && run.BackfillID != nil && *run.BackfillID == b.ID {
					run.SetState(models.Failed, m.at())
					run.UpdatedAt = m.at()
				}
			}
		}},
	}
	change := changes[rapid.IntRange(0, len(changes)-1).Draw(t, "change")]
	_, err := change.do(m.ctx, b.ID)
	if !b.CompletedAt.IsZero() {
		require.ErrorIs(t, err, repo.ErrCompleted)
		return
	}
	require.NoError(t, err)
	change.to()
	b.UpdatedAt = m.at()
}

func (m *model) sweep(t *rapid.T) {
	completed, err := m.any(t).CompleteBackfills(m.ctx)
	require.NoError(t, err)
	var want, got []int64
	for _, b := range m.backfills {
		open := !b.CompletedAt.IsZero() || !m.dated[b.ID] && m.now.Sub(b.CreatedAt.Time) <= 2*time.Minute
		for _, run := range m.runs {
			open = open || run.BackfillID != nil && *run.BackfillID == b.ID && !run.State.Finished()
		}
		if !open {
			b.CompletedAt, b.UpdatedAt = m.at(), m.at()
			want = append(want, b.ID)
		}
	}
	for _, b := range completed {
		got = append(got, b.ID)
	}
	require.Equal(t, want, got, "completed")
}

// setState is Finish, Clear and SetState of a run, in its attempt or in another one.
func (m *model) setState(t *rapid.T) {
	run := pick(t, m.runs, "run")
	mine := *run
	if rapid.IntRange(0, 4).Draw(t, "attempt") == 0 {
		mine.ClearNumber--
	}
	to := rapid.SampledFrom([]models.State{models.Queued, models.Running, models.Success, models.Failed}).Draw(t, "state")
	finishes := to.Finished() && rapid.Bool().Draw(t, "finish")
	var want, err error
	switch g := repo.GateOf(*run); {
	case mine.ClearNumber != run.ClearNumber:
		want = repo.ErrAttempt
	case finishes && run.State.Finished():
		want = repo.ErrState
	case to == models.Running && run.State != models.Running && m.room(g) == 0:
		want = repo.ErrFull
	}
	if finishes {
		err = m.any(t).Finish(m.ctx, mine, to)
	} else {
		_, err = m.any(t).SetState(m.ctx, mine, to)
	}
	if !errors.Is(err, want) {
		t.Fatalf("%s from %s to %s: %v, not %v", run.RunID, run.State, to, err, want)
	}
	if want == nil && (run.State != to || to == models.Queued) {
		if to == models.Queued && run.State != models.Queued {
			run.ClearNumber++
		}
		run.SetState(to, m.at())
		run.UpdatedAt = m.at()
	}
}

// same compares all that the database holds with the model.
func (m *model) same(t *rapid.T) {
	stored, err := data{}.read(m.world)
	require.NoError(t, err)
	require.Len(t, stored.runs, len(m.runs))
	for _, run := range m.runs {
		require.Equal(t, asText(*run), asText(stored.runs[run.ID]))
	}
	require.Len(t, stored.backfills, len(m.backfills))
	for _, b := range m.backfills {
		at := slices.IndexFunc(stored.backfills, func(s models.Backfill) bool { return s.ID == b.ID })
		require.GreaterOrEqual(t, at, 0)
		require.Equal(t, fmt.Sprintf("%+v", *b), fmt.Sprintf("%+v", stored.backfills[at]))
	}
}

func asText(run models.DagRun) string {
	return fmt.Sprint(run.RunID, " ", run.State, " attempt ", run.ClearNumber, " queued ", run.QueuedAt, " started ", run.StartDate, " ended ", run.EndDate, " updated ", run.UpdatedAt)
}

// agreesWithModel draws operations at random; rapid shrinks what fails, and says how to repeat it.
func agreesWithModel(w *world) {
	checks, steps := "10", "25"
	if prove() {
		checks, steps = "300", "50"
		w.long()
	}
	require.NoError(w, errors.Join(flag.Set("rapid.checks", checks), flag.Set("rapid.steps", steps)))
	done := 0
	rapid.Check(w.T, func(t *rapid.T) {
		m := newModel(w)
		t.Repeat(map[string]func(*rapid.T){
			"": m.same, "pass": m.pass, "another pass": m.pass, "all passes": m.all, "time goes by": m.later, "set DAG": m.setDag, "enqueue": m.enqueue, "enqueue more": m.enqueue,
			"make backfill": m.backfill, "change backfill": m.change, "sweep": m.sweep, "change state": m.setState, "change another's state": m.setState,
		})
		done++
	})
	w.Logf("%s: %d sequences of operations agree with the model", w.d.Engine, done)
}

var modelled = []testCase{
	{"random operations agree with the model", agreesWithModel},
	{"concurrent histories are those of a semaphore for each gate", linearizable},
	{"control: histories without the gate are not those of a semaphore", notLinearizable},
}

package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

// A handler executes a run.
type handler = func(context.Context, models.DagRun) error

// started is a runner that is going on.
type started struct {
	w     *world
	stop  context.CancelFunc
	ended chan error
	log   *log
}

// log is what a runner tells. It is safe for use by several goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// quick are options for tests: a runner that looks often, and takes nobody for dead.
var quick = []runner.Option{runner.Poll(5 * time.Millisecond), runner.Heartbeat(5 * time.Millisecond), runner.DeadAfter(time.Hour), runner.Drain(time.Hour)}

// start starts a runner over a repository of its own.
func (w *world) start(db *gorm.DB, handle handler, options ...runner.Option) *started {
	r, err := repo.New(db)
	require.NoError(w, err)
	ctx, stop := context.WithCancel(w.ctx)
	s := &started{w, stop, make(chan error, 1), &log{}}
	options = append(append(append([]runner.Option{}, quick...), runner.Logger(slog.New(slog.NewTextHandler(s.log, nil)))), options...)
	go pprof.Do(ctx, pprof.Labels("test", w.Name()), func(ctx context.Context) {
		err := runner.Run(ctx, r, handle, options...)
		fmt.Fprintf(s.log, "it ended: %v\n", err)
		s.ended <- err
	})
	w.Cleanup(func() {
		stop()
		if w.Failed() {
			w.Logf("the runner of a test that failed told:\n%sand does:\n%s", s.log, strings.Join(w.ofRunners(), "\n\n"))
		}
	})
	return s
}

// stopped asks the runner to end, and asserts that it does, without error and without leaving
// anything behind.
func (s *started) stopped() {
	s.stop()
	require.NoError(s.w, s.end())
	s.w.noneLeft()
}

// end waits for the runner's end.
func (s *started) end() error {
	select {
	case err := <-s.ended:
		return err
	case <-s.w.ctx.Done():
		require.Fail(s.w, "the runner does not end")
		return nil
	}
}

// noneLeft waits until no goroutine of the test's runners is left.
func (w *world) noneLeft() {
	w.until("a runner leaves no goroutine behind", func() bool { return len(w.ofRunners()) == 0 })
}

// ofRunners is where the goroutines of the test's runners are.
func (w *world) ofRunners() (stacks []string) {
	var all bytes.Buffer
	require.NoError(w, pprof.Lookup("goroutine").WriteTo(&all, 1))
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, strconv.Quote(w.Name())) && strings.Contains(stack, "usher/runner.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// until waits until something has come about. It looks now and then: whoever brings it about
// needs the processor.
func (w *world) until(what string, come func() bool) {
	again := time.NewTicker(3 * time.Millisecond)
	defer again.Stop()
	for !come() {
		select {
		case <-again.C:
		case <-w.ctx.Done():
			require.Fail(w, "it has not come about: "+what)
		}
	}
}

// over waits until no run is queued or running.
func (w *world) over() {
	w.until("all runs end", func() bool {
		var n int64
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("state IN ?", []models.State{models.Queued, models.Running}).Count(&n).Error)
		return n == 0
	})
}

// jobStates are the states of the schedulers, in the order in which they registered.
func (w *world) jobStates() (states []models.State) {
	require.NoError(w, w.db.Model(&models.Job{}).Order("id").Pluck("state", &states).Error)
	return states
}

// lastJob is the id of the scheduler that registered last.
func (w *world) lastJob() (id int64) {
	require.NoError(w, w.db.Model(&models.Job{}).Order("id DESC").Limit(1).Pluck("id", &id).Error)
	return id
}

// execute is a runner in a process of its own. It is never taken for dead because of its age,
// unless the job says so.
func execute(ctx context.Context, r *repo.Repo, job work) error {
	counter := exercise.NewRemote(os.Stdout, os.Stdin)
	options := append([]runner.Option{runner.Workers(3), runner.Logger(slog.New(slog.NewTextHandler(os.Stderr, nil)))}, quick...)
	if job.DeadAfter > 0 {
		options = append(options, runner.DeadAfter(job.DeadAfter), runner.Heartbeat(500*time.Millisecond))
	}
	return runner.Run(ctx, r, func(_ context.Context, run models.DagRun) error {
		if err := counter.Up(run); err != nil {
			return err
		}
		<-time.After(rand.N(workTime + 1))
		return counter.Down(run)
	}, options...)
}

// witness counts what one process tells, and knows what it has in hand.
type witness struct {
	*exercise.Tally
	mu   sync.Mutex
	up   map[int64]models.DagRun
	seen int
}

func (t *witness) Up(run models.DagRun) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.up[run.ID] = run
	t.seen++
	return t.Tally.Up(run)
}

func (t *witness) Down(run models.DagRun) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.up, run.ID)
	return t.Tally.Down(run)
}

func (t *witness) handled() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

var registration = regexp.MustCompile(`msg=registered job=(\d+)`)

// shoot kills a runner's process. What it had in hand runs no longer; only then is its
// heartbeat made old, so that others take the runs.
func (w *world) shoot(p *process, t *witness) {
	require.NoError(w, p.cmd.Process.Kill())
	p.killed(w)
	for _, run := range t.up {
		require.NoError(w, t.Tally.Down(run))
	}
	found := registration.FindStringSubmatch(p.errors.String())
	require.NotNil(w, found, &p.errors)
	id, err := strconv.ParseInt(found[1], 10, 64)
	require.NoError(w, err)
	w.age(id)
}

// age makes the heartbeat of a scheduler old.
func (w *world) age(job int64) {
	_, err := locking.InTx(w.ctx, w.db, func(tx *gorm.DB) (struct{}, error) {
		return struct{}{}, tx.Model(&models.Job{ID: job}).UpdateColumn("latest_heartbeat", models.At(past)).Error
	})
	require.NoError(w, err)
}

// losesAnswer lets the answer to the COMMIT of a pass be lost. The runs are executed all the
// same: they are running in the runner's name, or still queued.
func losesAnswer(heard bool) func(*world) {
	return func(w *world) {
		if !w.d.RowLocks {
			return // there is no connection to lose
		}
		w.dag("d", 16)
		d, proxy := w.d.Through(w, heard)
		db := d.Open(w)
		var arm atomic.Bool
		require.NoError(w, db.Callback().Update().After("*").Register("test:arm", func(tx *gorm.DB) {
			if columns, ok := tx.Statement.Dest.(map[string]any); ok && columns["scheduled_by_job_id"] != nil && arm.CompareAndSwap(true, false) {
				proxy.LoseCommit()
			}
		}))
		var handled atomic.Int64
		s := w.start(db, func(context.Context, models.DagRun) error { handled.Add(1); return nil }, runner.Heartbeat(19*time.Minute)) // it does not look by itself
		n := 0
		w.until("an answer to a pass is lost", func() bool { // another COMMIT may have been the next
			arm.Store(true)
			n++
			w.queue("d", 1, past.Add(time.Duration(n)*time.Hour), 0)
			w.over()
			return strings.Contains(s.log.String(), `msg="admit later" error="admit: the answer to COMMIT was lost`)
		})
		s.stopped()
		require.EqualValues(w, n, handled.Load(), "each once")
		require.Equal(w, n, w.total(models.Success))
	}
}

var runners = []testCase{
	{"a runner executes all runs, within the limits and its hands", func(w *world) {
		w.dag("d", 3)
		w.queue("d", 20, past, time.Minute)
		b := w.backfill("d", 4, 20)
		tally := exercise.NewTally()
		var now, most atomic.Int64
		s := w.start(w.db, func(_ context.Context, run models.DagRun) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return errors.Join(tally.Up(run), tally.Down(run))
		}, runner.Workers(5))
		w.over()
		w.until("the backfill is completed", func() bool {
			found, err := w.r.Backfill(w.ctx, b.BackfillID)
			require.NoError(w, err)
			return !found.CompletedAt.IsZero()
		})
		s.stopped()
		require.Equal(w, 40, w.total(models.Success))
		require.LessOrEqual(w, most.Load(), int64(5))
		require.LessOrEqual(w, tally.Peak(dagGate("d")), 3)
		require.LessOrEqual(w, tally.Peak(b), 4)
		require.Empty(w, tally.Twice())
		require.Equal(w, []models.State{models.Success}, w.jobStates(), "it has left")
	}},
	{"a runner has no more runs in hand than hands", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 6, past, time.Minute)
		release := make(chan struct{})
		var now, most atomic.Int64
		s := w.start(w.db, func(context.Context, models.DagRun) error {
			most.Store(max(most.Load(), now.Add(1)))
			<-release
			now.Add(-1)
			return nil
		}, runner.Workers(2))
		w.until("the hands are full", func() bool { return now.Load() == 2 })
		w.whileOthersWork()
		w.running(map[repo.Gate]int{dagGate("d"): 2})
		close(release)
		w.over()
		s.stopped()
		require.EqualValues(w, 2, most.Load())
	}},
	{"a run that ends wakes the runner", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 30, past, time.Minute)
		s := w.start(w.db, func(context.Context, models.DagRun) error { return nil }, runner.Poll(time.Hour), runner.Heartbeat(time.Minute))
		w.over()
		s.stopped()
	}},
	{"a handler that fails, panics or ends its goroutine fails its run, and no other", func(w *world) {
		w.dag("d", 16)
		queued := w.queue("d", 4, past, time.Minute)
		s := w.start(w.db, func(_ context.Context, run models.DagRun) error {
			switch run.ID {
			case queued[0].ID:
				return errors.New("it went wrong")
			case queued[1].ID:
				panic("it went very wrong")
			case queued[2].ID:
				runtime.Goexit()
			}
			return nil
		})
		w.over()
		s.stopped()
		for i, state := range []models.State{models.Failed, models.Failed, models.Failed, models.Success} {
			require.Equal(w, state, w.run(queued[i].ID).State, "run %d", i)
		}
		for _, said := range []string{"it went wrong", "it went very wrong", "tests.init.func", "without returning"} {
			require.Contains(w, s.log.String(), said)
		}
	}},
	{"a runner executes what was admitted in its name and never handed to it", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past, 0)
		s := w.start(w.db, func(context.Context, models.DagRun) error { return nil })
		w.over()
		missed := w.at(models.Running)
		require.NoError(w, w.db.Model(&missed).UpdateColumn("scheduled_by_job_id", w.lastJob()).Error)
		w.over()
		s.stopped()
		require.Equal(w, models.Success, w.run(missed.ID).State)
	}},
	{"a runner that is to end lets its handlers finish", func(w *world) {
		w.dag("d", 2)
		w.queue("d", 4, past, time.Minute)
		executing, release := make(chan context.Context, 2), make(chan struct{})
		s := w.start(w.db, func(ctx context.Context, _ models.DagRun) error {
			executing <- ctx
			<-release
			return ctx.Err()
		})
		<-executing
		<-executing
		s.stop()
		w.whileOthersWork()
		require.Equal(w, []models.State{models.Running}, w.jobStates(), "it is still there")
		close(release)
		s.stopped()
		require.Equal(w, 2, w.total(models.Success))
		require.Equal(w, 2, w.total(models.Queued), "nothing more was admitted")
		require.Equal(w, []models.State{models.Success}, w.jobStates())
	}},
	{"what the end of a runner cuts off is queued again", func(w *world) {
		w.dag("d", 4)
		queued := w.queue("d", 4, past, time.Minute)
		executing := make(chan struct{}, 4)
		causes := make(chan error, 4)
		s := w.start(w.db, func(ctx context.Context, run models.DagRun) error {
			executing <- struct{}{}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			switch run.ID {
			case queued[0].ID:
				return nil // it was done just in time
			case queued[1].ID:
				return ctx.Err()
			case queued[2].ID:
				return errors.Join(ctx.Err(), w.r.Finish(w.ctx, run, models.Success)) // somebody else ends it
			}
			panic("cut off")
		}, runner.Drain(0))
		for range 4 {
			<-executing
		}
		s.stopped()
		for range 4 {
			require.ErrorIs(w, <-causes, runner.ErrStopped)
		}
		for i, want := range [][]any{{models.Success, 0}, {models.Queued, 1}, {models.Success, 0}, {models.Queued, 1}} {
			run := w.run(queued[i].ID)
			require.Equal(w, want, []any{run.State, run.ClearNumber}, "run %d", i)
		}
		require.Equal(w, []models.State{models.Success}, w.jobStates())
	}},
	{"a runner that was taken for dead gives up its runs, registers anew and goes on", func(w *world) {
		w.dag("d", 2)
		w.queue("d", 2, past, time.Minute)
		executing := make(chan struct{}, 2)
		causes := make(chan error, 2)
		s := w.start(w.db, func(ctx context.Context, run models.DagRun) error {
			if run.RunID == "afterwards" {
				return nil
			}
			executing <- struct{}{}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil // too late
		})
		<-executing
		<-executing
		var recovered []models.DagRun
		w.until("others take it for dead", func() bool { // a heartbeat holds its row now and then
			var err error
			recovered, err = w.inAnHour().Recover(w.ctx, silence, models.Failed)
			require.NoError(w, err)
			return len(recovered) > 0
		})
		require.Len(w, recovered, 2)
		require.ErrorIs(w, <-causes, repo.ErrDead)
		require.ErrorIs(w, <-causes, repo.ErrDead)
		_, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "afterwards"})
		require.NoError(w, err)
		w.over()
		s.stopped()
		for _, run := range recovered {
			require.Equal(w, run, w.run(run.ID), "the late result does not count")
		}
		require.Equal(w, 1, w.total(models.Success))
		require.Equal(w, []models.State{models.Failed, models.Success}, w.jobStates())
	}},
	{"a runner takes the runs of the dead", func(w *world) {
		for _, to := range []models.State{models.Queued, models.Failed} {
			w.dag("d", 2)
			w.queue("d", 2, past, time.Minute)
			r, job := w.registered()
			runs := w.admitted(r, 2)
			w.age(job.ID)
			s := w.start(w.db, func(context.Context, models.DagRun) error { return nil }, runner.OnDead(to))
			w.over()
			s.stopped()
			for _, run := range runs {
				run = w.run(run.ID)
				require.Equal(w, map[models.State][]any{models.Queued: {models.Success, 1}, models.Failed: {models.Failed, 0}}[to], []any{run.State, run.ClearNumber})
			}
			require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
		}
	}},
	{"a runner waits for a server that is away", func(w *world) {
		if !w.d.RowLocks {
			return // there is no server
		}
		w.dag("d", 2)
		w.queue("d", 4, past, time.Minute)
		d, proxy := w.d.Through(w, true)
		executing, release := make(chan struct{}, 4), make(chan struct{})
		var handled atomic.Int64
		s := w.start(d.Open(w), func(context.Context, models.DagRun) error {
			executing <- struct{}{}
			<-release
			handled.Add(1)
			return nil
		})
		<-executing
		<-executing
		proxy.SetDown(true)
		close(release)
		for _, what := range []string{"beat later", "admit later", "finish later", "recover later"} {
			w.until(what, func() bool { return strings.Contains(s.log.String(), what) })
		}
		proxy.SetDown(false)
		w.over()
		s.stopped()
		require.EqualValues(w, 4, handled.Load(), "nothing was executed twice")
		require.Equal(w, 4, w.total(models.Success))
		require.Equal(w, []models.State{models.Success}, w.jobStates())
	}},
	{"a runner ends with an error that does not pass", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past, time.Minute)
		executing, release := make(chan struct{}), make(chan struct{})
		s := w.start(w.db, func(context.Context, models.DagRun) error {
			close(executing)
			<-release
			return nil
		})
		<-executing
		require.NoError(w, w.db.Migrator().DropTable(&models.DagRun{}))
		close(release)
		require.ErrorIs(w, s.end(), repo.ErrNoTables)
		w.noneLeft()
		require.Equal(w, []models.State{models.Success}, w.jobStates(), "and leaves all the same")
		require.NoError(w, w.db.Migrator().DropTable(&models.Job{}))
		require.ErrorIs(w, runner.Run(w.ctx, w.repo(), func(context.Context, models.DagRun) error { return nil }), repo.ErrNoTables)
	}},
	{"a runner refuses options that make no sense", func(w *world) {
		nothing := func(context.Context, models.DagRun) error { return nil }
		for _, option := range []runner.Option{
			runner.Workers(0), runner.Poll(0), runner.Heartbeat(0), runner.Heartbeat(10 * time.Second), runner.DeadAfter(15 * time.Second),
			runner.Drain(-1), runner.OnDead(models.Success), runner.Logger(nil),
		} {
			require.ErrorIs(w, runner.Run(w.ctx, w.r, nothing, option), repo.ErrInvalid)
		}
		require.ErrorIs(w, runner.Run(w.ctx, w.r, nil), repo.ErrInvalid)
		require.ErrorIs(w, runner.Run(w.ctx, nil, nothing), repo.ErrInvalid)
		require.Empty(w, w.jobStates())
		over, cancel := context.WithCancel(w.ctx)
		cancel()
		require.NoError(w, runner.Run(over, w.r, nothing))
	}},
	{"the answer to the COMMIT of a runner's pass is lost", losesAnswer(true)},
	{"the COMMIT of a runner's pass is lost", losesAnswer(false)},
	{"processes with runners are killed while others go on", func(w *world) {
		for range rounds(1) {
			w.db.Where("1 = 1").Delete(&models.DagRun{})
			limits := mixedContest(w)
			tally := exercise.NewTally()
			spawn := func() (*process, *witness) {
				t := &witness{Tally: tally, up: map[int64]models.DagRun{}}
				return w.spawn(work{Runner: true}, t), t
			}
			stay, _ := spawn()
			for i := range 4 {
				for _, id := range []string{"a", "b", "c"} {
					w.queue(id, 20, past.AddDate(i+1, 0, 0), time.Minute)
				}
				victim, t := spawn()
				enough := 1 + rand.IntN(8)
				w.until("it has handled a few runs", func() bool {
					return t.handled() >= enough || w.total(models.Queued) == 0 && t.handled()+len(registration.FindString(victim.errors.String())) > 0
				})
				w.shoot(victim, t)
			}
			w.over()
			require.NoError(w, stay.cmd.Process.Signal(os.Interrupt))
			require.NoError(w, stay.wait())
			for g, limit := range limits {
				require.LessOrEqual(w, tally.Peak(g), limit, "peak of %v", g)
			}
			require.Empty(w, tally.Twice())
			var runs []models.DagRun
			require.NoError(w, w.db.Find(&runs).Error)
			times := map[int64]int{}
			for g := range limits {
				for _, id := range tally.Started(g) {
					times[id]++
				}
			}
			for _, run := range runs {
				require.Equal(w, models.Success, run.State)
				require.Positive(w, times[run.ID], "each run was handled")
				require.LessOrEqual(w, times[run.ID], run.ClearNumber+1, "once in each attempt")
			}
			require.NotContains(w, w.jobStates(), models.Running)
		}
	}},
}

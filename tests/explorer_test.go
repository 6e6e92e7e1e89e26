package tests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// prove asks for the long form of a proof: USHER_TEST_PROVE.
func prove() bool { return os.Getenv("USHER_TEST_PROVE") != "" }

// An operation is what a caller of usher does, on the data of a situation.
type operation struct {
	name string
	do   func(context.Context, *repo.Repo) ([]models.DagRun, error)
	// by is what takes the place of do in a control, without a repository.
	by func(context.Context, *gorm.DB) ([]models.DagRun, error)
	// may are the errors that it may return, besides contention.
	may []error
	// passes: the runs that it returns were admitted in order, as many as there was room for.
	passes bool
	// starts: the run that it returns is running, whatever the order.
	starts bool
	// adds: the runs that it returns are new in the queue.
	adds bool
	// touches are runs that it ends or queues again: they no longer count once it has begun.
	touches []models.DagRun
	// requeues: it may queue runs of a backfill that is over.
	requeues bool
	// forbids: once it has returned, no pass may start a run.
	forbids bool
	// cancels: once it has returned, the backfill has ended.
	cancels bool
	// limit is the gates' limit that it sets; 0 leaves it.
	limit int
	// completes: it ends backfills that are over.
	completes bool
	// again: it passes over what others hold, and is called once more when all have come to their end.
	again bool
}

// outcome is what became of an operation in one order. Moments are numbers of steps.
type outcome struct {
	operation
	began, committed, returned int
	runs                       []models.DagRun
	err                        error
}

// A situation is data, and the operations that meet on it.
type situation struct {
	name string
	data data
	ops  []operation
	// repos makes the repositories, when they are not all alike.
	options []repo.Option
	prepare func(*world, *data, []*repo.Repo)
	// isolation is that of the connections; empty for the engine's default.
	isolation string
	// starts is how many runs passes start in all, when nothing else interferes; -1 leaves it open.
	starts int
}

// An explorer executes operations statement by statement, in every order. It searches depth
// first: each order begins anew on fresh data, and the stack says where it is to go.
//
// Of orders that differ only in that two steps that cannot tell change places it executes one
// (sleep sets). With a bound on the changes of hands it leaves these out of account and
// executes every order that has no more of them.
type explorer struct {
	*world
	situation
	changes  int  // of hands; negative for any number
	every    bool // also those orders that come to the same as another
	steppers []*stepper
	stack    []*choice
	orders   int // executed
	repeated int // begun, and found to be as good as one that was executed
	diverged int // the server did not do the same again
	longest  int
	broken   []string
	ends     map[string]int // how the orders ended, and how many so
}

// choice is a point at which several operations could go on.
type choice struct {
	stops    []*stop // of each operation; nil for one that is blocked or done
	asleep   []bool  // going on with it leads to an order that has been executed
	tried    []bool
	chosen   int
	previous int // the operation that made the step before
	changes  int
}

// mayChoose lists the operations to go on with, the previous one first.
func (c *choice) mayChoose(bound int) (all []int) {
	for i, s := range c.stops {
		if s != nil && !c.asleep[i] && !c.tried[i] {
			all = append(all, i)
		}
	}
	if at := slices.Index(all, c.previous); at > 0 {
		all = append([]int{c.previous}, slices.Delete(all, at, at+1)...)
	}
	if goesOn := c.previous >= 0 && c.stops[c.previous] != nil; bound >= 0 && goesOn && c.changes >= bound {
		all = slices.DeleteFunc(all, func(i int) bool { return i != c.previous })
	}
	return all
}

// after is the choice that follows.
func (c *choice) after(stops []*stop, reduce bool) *choice {
	next := &choice{stops: stops, asleep: make([]bool, len(stops)), tried: make([]bool, len(stops)), previous: c.chosen, changes: c.changes}
	if c.previous >= 0 && c.previous != c.chosen && c.stops[c.previous] != nil {
		next.changes++
	}
	for i := range stops {
		if reduce && i != c.chosen && (c.asleep[i] || c.tried[i]) && c.stops[i] != nil {
			next.asleep[i] = stops[i] != nil && independent(c.stops[i].access, c.stops[c.chosen].access)
		}
	}
	return next
}

// mostStrays bounds the orders that do not go the same way twice: a search among them has no end
// of its own.
const mostStrays = 1000

// explore executes all orders, or as many as most allows, and returns whether that was all.
func (e *explorer) explore(most int) (all bool) {
	for e.orders+e.repeated < most && e.diverged < mostStrays {
		e.order()
		for {
			if len(e.stack) == 0 {
				return true
			}
			top := e.stack[len(e.stack)-1]
			top.tried[top.chosen] = true
			if rest := top.mayChoose(e.changes); len(rest) > 0 {
				top.chosen = rest[0]
				break
			}
			e.stack = e.stack[:len(e.stack)-1]
		}
	}
	return false
}

// run is one order while it is executed.
type run struct {
	*explorer
	repos    []*repo.Repo
	outcomes []*outcome
	stops    []*stop
	blocked  []bool
	done     []bool
	steps    []string
}

// order executes one order: along the stack, and from its end on with the first choice.
func (e *explorer) order() {
	n := len(e.ops)
	r := &run{explorer: e, stops: make([]*stop, n), blocked: make([]bool, n), done: make([]bool, n)}
	r.begin()
	for depth := 0; ; depth++ {
		if !slices.ContainsFunc(r.stops, func(s *stop) bool { return s != nil }) {
			if !slices.Contains(r.blocked, true) {
				break
			}
			r.untilFree()
		}
		if depth < len(e.stack) && !same(e.stack[depth].stops, r.stops) {
			e.diverged++
			e.stack = e.stack[:depth]
		}
		if depth == len(e.stack) {
			c := &choice{stops: slices.Clone(r.stops), asleep: make([]bool, n), tried: make([]bool, n), previous: -1}
			if depth > 0 {
				c = e.stack[depth-1].after(slices.Clone(r.stops), e.changes < 0 && !e.every)
			}
			may := c.mayChoose(e.changes)
			if len(may) == 0 {
				r.toTheEnd()
				e.repeated++
				return
			}
			c.chosen = may[0]
			e.stack = append(e.stack, c)
		}
		r.step(e.stack[depth].chosen)
	}
	r.onceMore()
	e.orders++
	e.longest = max(e.longest, len(e.stack))
	if problem := e.wrong(r.outcomes); problem != "" {
		e.broken = append(e.broken, fmt.Sprintf("%s: %s\n  %s", e.name, problem, strings.Join(r.steps, "\n  ")))
	}
}

// same compares what the operations are about to do.
func same(a, b []*stop) bool {
	return slices.EqualFunc(a, b, func(a, b *stop) bool {
		return a == nil && b == nil || a != nil && b != nil && a.access == b.access
	})
}

// begin makes fresh data and lets the operations go to their first stop.
func (r *run) begin() {
	repos := make([]*repo.Repo, len(r.ops))
	for i, s := range r.steppers {
		var err error
		repos[i], err = repo.New(s.DB, r.options...)
		require.NoError(r, err)
	}
	r.repos = repos
	r.clean()
	if r.prepare != nil {
		r.prepare(r.world, &r.data, repos)
		r.clean()
	} else {
		for _, one := range repos { // their walk around the gates begins here
			_, err := one.Admit(r.ctx)
			require.NoError(r, err)
		}
	}
	r.data.insert(r.world)
	for i, op := range r.ops {
		o := &outcome{operation: op, began: -1}
		r.outcomes = append(r.outcomes, o)
		r.steppers[i].begin(r.ctx, func(ctx context.Context) {
			if op.by != nil {
				o.runs, o.err = op.by(ctx, r.steppers[i].DB)
			} else {
				o.runs, o.err = op.do(ctx, repos[i])
			}
		})
		r.await(i)
	}
}

// step lets one operation execute its next statement, and waits until everybody has come to a
// stop, to the end, or to a lock.
func (r *run) step(i int) {
	o := r.outcomes[i]
	if o.began < 0 {
		o.began = len(r.steps)
	}
	if r.stops[i].text == "COMMIT" {
		o.committed = len(r.steps)
	}
	text := strings.Join(strings.Fields(r.stops[i].text), " ")
	r.steps = append(r.steps, fmt.Sprintf("%d %s: %.110s", i+1, r.ops[i].name, text))
	r.stops[i] = nil
	r.steppers[i].proceed <- struct{}{}
	r.await(i)
	for other := range r.ops {
		if other != i && r.blocked[other] {
			r.lookAgain(other)
		}
	}
}

// lookAgain finds out whether an operation is still blocked.
func (r *run) lookAgain(i int) {
	r.blocked[i] = false
	if !r.d.RowLocks {
		r.steppers[i].proceed <- struct{}{}
	}
	r.await(i)
}

// pollEvery is how often a server is asked whether an operation that has not come back waits for a lock.
const pollEvery = time.Millisecond

// await waits for an operation that is going on.
func (r *run) await(i int) {
	for {
		select {
		case report := <-r.steppers[i].reports:
			r.take(i, report)
			return
		case <-time.After(pollEvery):
			if r.d.RowLocks && r.steppers[i].waiting() {
				r.blocked[i] = true
				r.steps = append(r.steps, fmt.Sprintf("%d waits", i+1))
				return
			}
		case <-r.ctx.Done():
			require.Fail(r, "an operation does not come back", "%s\n%s", r.name, strings.Join(r.steps, "\n"))
		}
	}
}

func (r *run) take(i int, report report) {
	r.stops[i], r.blocked[i] = report.stop, report.blocked
	if report.done {
		r.done[i], r.outcomes[i].returned = true, len(r.steps)
		r.steps = append(r.steps, fmt.Sprintf("%d returns %v", i+1, said(r.outcomes[i])))
	}
}

func said(o *outcome) string {
	var ids []string
	for _, run := range o.runs {
		ids = append(ids, fmt.Sprintf("%s/%d", run.RunID, run.ClearNumber))
	}
	return fmt.Sprint(ids, " ", o.err)
}

// untilFree waits until the server has ended a deadlock.
func (r *run) untilFree() {
	require.True(r, r.d.RowLocks, "all wait for the writer, and there is none:\n%s", strings.Join(r.steps, "\n"))
	for {
		for i := range r.ops {
			if r.blocked[i] {
				select {
				case report := <-r.steppers[i].reports:
					r.take(i, report)
					return
				case <-time.After(pollEvery):
				case <-r.ctx.Done():
					require.Fail(r, "a deadlock that nobody ends", "%s\n%s", r.name, strings.Join(r.steps, "\n"))
				}
			}
		}
	}
}

// toTheEnd lets the operations end in whatever order.
func (r *run) toTheEnd() {
	for slices.Contains(r.done, false) {
		at := slices.IndexFunc(r.stops, func(s *stop) bool { return s != nil })
		if at < 0 {
			r.untilFree()
			continue
		}
		r.step(at)
	}
}

// onceMore calls again the operations that have found nothing, as others held it.
func (r *run) onceMore() {
	for i, o := range r.outcomes {
		if o.again && o.err == nil && len(o.runs) == 0 {
			o.began = len(r.steps)
			o.runs, o.err = o.do(r.ctx, r.repos[i])
			o.committed, o.returned = o.began, o.began
			r.steps = append(r.steps, fmt.Sprintf("%d returns once more %v", i+1, said(o)))
		}
	}
}

// explored executes a situation's operations in every order and reports what is wrong.
func (w *world) explored(s situation, changes, most int, options ...locking.Option) *explorer {
	return w.explorer(s, changes, options...).all(most)
}

func (w *world) explorer(s situation, changes int, options ...locking.Option) *explorer {
	e := &explorer{world: w, situation: s, changes: changes, ends: map[string]int{}}
	for range s.ops {
		e.steppers = append(e.steppers, w.stepper(s.isolation, options...))
	}
	return e
}

// all explores, and says how much.
func (e *explorer) all(most int) *explorer {
	began := time.Now()
	all := e.explore(most)
	cut := ""
	if e.changes >= 0 {
		cut = fmt.Sprintf(", all with at most %d changes of hands", e.changes)
	}
	if !all {
		cut += fmt.Sprintf(", CUT at %d", e.orders+e.repeated)
	}
	if e.diverged > 0 {
		cut += fmt.Sprintf(", %d did not go the same way twice", e.diverged)
	}
	e.Logf("%s, %s: %d orders of up to %d steps%s (%d more were begun that come to the same), %d broken, %v",
		e.d.Engine, e.name, e.orders, e.longest, cut, e.repeated, len(e.broken), time.Since(began).Round(time.Millisecond))
	return e
}

// wrong says what an order broke of what usher promises; empty when nothing.
func (e *explorer) wrong(outcomes []*outcome) string {
	for _, o := range outcomes {
		may := append([]error{nil, locking.ErrContention}, o.may...)
		if !slices.ContainsFunc(may, func(want error) bool { return errors.Is(o.err, want) }) {
			return fmt.Sprintf("%s failed: %v", o.name, o.err)
		}
	}
	stored, err := e.data.read(e.world)
	require.NoError(e, err)
	e.ends[ending(outcomes, stored)]++
	for _, check := range []func([]*outcome, contents) string{e.peak, e.ledger, e.inOrder, e.forbidden, e.alone, e.completed, e.enough} {
		if problem := check(outcomes, stored); problem != "" {
			return problem
		}
	}
	return ""
}

// ending is what callers and the database were left with.
func ending(outcomes []*outcome, after contents) (text string) {
	for _, o := range outcomes {
		text += said(o) + "; "
	}
	for _, id := range slices.Sorted(maps.Keys(after.runs)) {
		run := after.runs[id]
		text += fmt.Sprintf("%s/%d %s ", run.RunID, run.ClearNumber, run.State)
	}
	for _, b := range after.backfills {
		text += fmt.Sprint(b.CompletedAt.IsZero(), b.IsPaused, b.MaxActiveRuns)
	}
	return text
}

package repo

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// Observer is told of what a [Repo] does: for notifications, metrics and traces. Any of its
// functions may be nil. They are called in the goroutine of the verb, which waits for them, and
// with its context. One that panics is logged at level error, and the verb goes on: what was
// committed must reach the caller.
type Observer struct {
	// Verb is called when a verb that may change something begins, with its name, such as
	// "admit" or "finish run". The verb goes on with the context that it returns, and calls the
	// function with its error, or nil, at the end.
	Verb func(ctx context.Context, verb string) (context.Context, func(error))

	// Changed is called after the commit with the runs that a verb has brought to a state, as they
	// are then: queued, the first time or again, running, success or failed. Of a run that was
	// finished it has what Finish was given, in its new state and without the time of its end.
	//
	// It is called once at most: not when the answer to COMMIT was lost ([locking.ErrCommitUnknown])
	// and not when the process ends before. Nor is it called by a repository of [Repo.WithTx]: when
	// that is committed the application alone knows.
	Changed func(ctx context.Context, state models.State, runs []models.DagRun)

	// Ended is called after the commit with the backfills that a verb has completed or cancelled,
	// under the same conditions.
	Ended func(ctx context.Context, backfills []models.Backfill)

	// Passed is called after each pass, also after one that failed.
	Passed func(ctx context.Context, pass Pass)

	// Retried is called when a transaction of a verb has failed and is about to be tried again.
	Retried func(ctx context.Context, verb string, retry locking.Retry)
}

// Pass is what a pass has come to.
type Pass struct {
	// Gates is how many gates it went to: 0 when none had work and seemed to have room.
	Gates int
	// PassedOver is how many of them somebody else held.
	PassedOver int
	// Started is how many runs it started. A pass that started none came back empty.
	Started int
	// Err is the error that it returned.
	Err error
}

// through counts a look at some gates.
func (p *Pass) through(gates []Gate, made started) {
	p.Gates += len(gates)
	p.PassedOver += made.passedOver
	p.Started += len(made.runs)
}

// WithObserver has an observer told of what the repository does. It may be given several times;
// each is told. Defaults to none, which costs nothing.
func WithObserver(o Observer) Option {
	return func(r *Repo) error { r.observers = append(r.observers, o); return nil }
}

// verb is a call of one of the repository's verbs.
type verb struct {
	*Repo
	ctx  context.Context
	name string
	ends []func(error)
}

// begin begins a verb.
func (r *Repo) begin(ctx context.Context, name string) (context.Context, verb) {
	v := verb{Repo: r, ctx: ctx, name: name}
	if r.heard(ctx) {
		v = v.observed()
	}
	return v.ctx, v
}

// observed is the verb with what observers make of its context.
func (v verb) observed() verb {
	for _, o := range v.observers {
		v.tell(v.ctx, o.Verb != nil, func() {
			ctx, end := o.Verb(v.ctx, v.name)
			v.ctx, v.ends = ctx, append(v.ends, end)
		})
	}
	ctx := v.ctx
	v.ctx = locking.OnRetry(ctx, func(retry locking.Retry) {
		v.logger.DebugContext(ctx, "try again", slog.String("verb", v.name), slog.Int("attempt", retry.Attempt), slog.String("class", retry.Class.String()), slog.Any("error", retry.Err))
		for _, o := range v.observers {
			v.tell(ctx, o.Retried != nil, func() { o.Retried(ctx, v.name, retry) })
		}
	})
	return v
}

// end ends it, and returns its error as the caller is to have it.
func (v verb) end(err error) error {
	err = v.explain(v.name, err)
	if errors.Is(err, locking.ErrCommitUnknown) {
		v.logger.WarnContext(v.ctx, "the answer to COMMIT was lost", slog.String("verb", v.name), slog.Any("error", err))
	}
	for i := range v.ends {
		end := v.ends[len(v.ends)-1-i]
		v.tell(v.ctx, end != nil, func() { end(err) })
	}
	return err
}

// heard reports whether anybody is told of verbs.
func (r *Repo) heard(ctx context.Context) bool {
	return len(r.observers) > 0 || r.logger.Enabled(ctx, slog.LevelDebug)
}

// told reports whether an observer is to be told of changes: one wants to, and they are committed
// when a verb is done.
func (r *Repo) told() bool { return len(r.observers) > 0 && !locking.Joined(r.db) }

// changed tells of runs that have come to a state.
func (r *Repo) changed(ctx context.Context, state models.State, runs ...models.DagRun) {
	if len(runs) == 0 || !r.told() {
		return
	}
	runs = slices.Clone(runs) // the caller's are his
	for i := range runs {
		runs[i].State = state
	}
	for _, o := range r.observers {
		r.tell(ctx, o.Changed != nil, func() { o.Changed(ctx, state, runs) })
	}
}

// recovered tells of runs that were taken back from the dead.
func (r *Repo) recovered(ctx context.Context, to models.State, runs []models.DagRun) {
	for _, run := range runs {
		r.logger.InfoContext(ctx, "run recovered", slog.String("dag_id", run.DagID), slog.String("run_id", run.RunID), slog.String("becomes", string(to)), slog.Int("attempt", run.ClearNumber))
	}
	r.changed(ctx, to, runs...)
}

// over tells of backfills that have ended.
func (r *Repo) over(ctx context.Context, backfills ...models.Backfill) {
	for _, b := range backfills {
		r.logger.InfoContext(ctx, "backfill over", slog.Int64("backfill", b.ID), slog.String("dag_id", b.DagID))
	}
	if len(backfills) == 0 || !r.told() {
		return
	}
	for _, o := range r.observers {
		r.tell(ctx, o.Ended != nil, func() { o.Ended(ctx, backfills) })
	}
}

// passed tells of a pass.
func (r *Repo) passed(ctx context.Context, p Pass) {
	if !r.heard(ctx) {
		return
	}
	r.logger.DebugContext(ctx, "pass", slog.Int("gates", p.Gates), slog.Int("passed_over", p.PassedOver), slog.Int("started", p.Started))
	for _, o := range r.observers {
		r.tell(ctx, o.Passed != nil, func() { o.Passed(ctx, p) })
	}
}

// tell calls an observer, if it wants to know.
func (r *Repo) tell(ctx context.Context, wanted bool, call func()) {
	if !wanted {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.logger.ErrorContext(ctx, "an observer panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	call()
}

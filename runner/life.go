package runner

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// sweepEvery is how many heartbeats pass from one look for backfills that are over to the next.
const sweepEvery = 12

// life is the time under one registration.
type life struct {
	*runner
	ctx    context.Context // until the scheduler has left, or is dead
	cancel context.CancelCauseFunc
	work   context.Context // the handlers': until then, or the end of the drain
	stop   context.CancelCauseFunc

	keepers sync.WaitGroup
	look    *time.Ticker // for runs that were admitted and never handed out
	unsure  bool         // whether there may be some
}

// begin begins a life, with those who keep it going.
func (s *runner) begin(ctx context.Context) *life {
	l := &life{runner: s, look: time.NewTicker(s.heartbeat)}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx)) // the end of ctx is the beginning of the drain
	l.work, l.stop = context.WithCancelCause(l.ctx)
	l.keep("beat", s.heartbeat, s.repo.Beat)
	l.keep("recover", s.heartbeat, l.recover)
	l.keep("complete backfills", sweepEvery*s.heartbeat, func(ctx context.Context) error {
		_, err := s.repo.CompleteBackfills(ctx)
		return err
	})
	return l
}

// end ends it, and returns when nobody works on it but handlers that were told to stop.
func (l *life) end() {
	l.look.Stop()
	l.cancel(ErrStopped)
	l.keepers.Wait()
}

// keep does something at once and then again and again. [repo.ErrDead] ends the life, another
// error that does not pass ends the runner.
func (l *life) keep(doing string, every time.Duration, do func(context.Context) error) {
	l.keepers.Go(func() {
		for {
			switch err := l.ask(l.ctx, do); {
			case err == nil || l.ctx.Err() != nil:
			case errors.Is(err, repo.ErrDead):
				l.cancel(err)
			case l.repo.Transient(err):
				l.tell(l.ctx, doing, err)
			default:
				select {
				case l.ended <- outcome{err: err}:
				case <-l.ctx.Done():
				}
				return
			}
			if !sleep(l.ctx, every/2+rand.N(every/2+1)) {
				return
			}
		}
	})
}

// recover takes the runs of dead schedulers back.
func (l *life) recover(ctx context.Context) error {
	runs, err := l.repo.Recover(ctx, l.deadAfter, l.onDead)
	if len(runs) > 0 {
		l.logger.WarnContext(ctx, "recovered runs of dead schedulers", slog.Int("runs", len(runs)), slog.String("state", string(l.onDead)))
	}
	return err
}

// admit makes passes until ctx ends, the life does, or an error is met that does not pass.
func (l *life) admit(ctx context.Context) error {
	pause, failures := time.Duration(0), 0
	for {
		if err := l.rest(ctx, pause); err != nil || ctx.Err() != nil {
			return err
		}
		started, err := l.pass()
		switch {
		case l.ctx.Err() != nil: // what has just started is for others
			return context.Cause(l.ctx)
		case started > 0:
			pause, failures = 0, 0
		case err == nil || errors.Is(err, locking.ErrContention):
			pause, failures = l.poll/2+rand.N(l.poll), 0
		case l.repo.Transient(err):
			l.unsure = l.unsure || errors.Is(err, locking.ErrCommitUnknown)
			failures++
			pause = backoff(failures)
			l.tell(l.ctx, "admit", err)
		default:
			return err
		}
	}
}

// pass admits runs for the hands that are free, and hands them out.
func (l *life) pass() (started int, err error) {
	if l.unsure {
		if err := l.handOutMine(); err != nil {
			return 0, err
		}
	}
	if l.free() == 0 {
		return 0, nil
	}
	var runs []models.DagRun
	err = l.ask(l.ctx, func(ctx context.Context) (err error) {
		runs, err = l.repo.AdmitAtMost(ctx, l.free())
		return err
	})
	l.handOut(runs)
	return len(runs), err
}

// handOutMine hands out what was admitted in this scheduler's name and never handed to it, as
// far as hands are free.
func (l *life) handOutMine() error {
	var mine []models.DagRun
	err := l.ask(l.ctx, func(ctx context.Context) (err error) {
		mine, err = l.repo.Mine(ctx)
		return err
	})
	if err == nil {
		l.unsure = false
		l.handOut(mine)
	}
	return err
}

// rest waits for the pause, or until a run has ended here, or for a hand when none is free.
func (l *life) rest(ctx context.Context, pause time.Duration) error {
	var over <-chan time.Time
	if l.free() > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case o := <-l.ended:
		return l.release(o)
	case <-l.look.C:
		l.unsure = true
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-ctx.Done():
	}
	return nil
}

// finish waits for the handlers, cancels them when the time of the drain is over, and leaves.
func (l *life) finish() error {
	stop := time.AfterFunc(l.drain, func() { l.stop(ErrStopped) })
	defer stop.Stop()
	err := l.empty()
	switch left := l.ask(l.ctx, l.repo.Leave); {
	case left == nil || errors.Is(left, repo.ErrDead) || l.ctx.Err() != nil:
	case l.repo.Transient(left): // it is silent from now on
		l.tell(l.ctx, "leave", left)
	default:
		err = errors.Join(err, left)
	}
	return err
}

package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// ErrStopped is the cause with which a handler's context is cancelled when the runner shuts
// down and the time of [Drain] is over. What the handler returns an error for then is queued
// again, not failed.
var ErrStopped = errors.New("the runner is shutting down")

// Run is a scheduler: it registers, admits runs as far as the limits and its [Workers] allow,
// and calls handle for each in a goroutine. A run whose handler returns nil ends in success,
// one whose handler returns an error or panics in failed. Runs of schedulers that died are
// queued again (see [OnDead]), and backfills that are over are completed.
//
// It goes on until ctx ends. Then it admits nothing more, lets the handlers go on for the time
// of [Drain], cancels their contexts, waits until all have returned, and returns nil. A lost
// connection is waited for. An error that does not pass, such as [repo.ErrNoTables], ends it
// in the same orderly way and is returned, and [repo.ErrInvalid] for options that make no sense.
//
// A run is executed at least once, not exactly once: when this scheduler falls silent for
// [DeadAfter], others queue its runs again. The contexts of its handlers are cancelled with
// the cause [repo.ErrDead] as soon as it learns of it, and their results do not count; it
// registers anew and goes on. So a handler must heed its context.
//
// The Repo is the runner's: do not register nor admit through it elsewhere.
func Run(ctx context.Context, r *repo.Repo, handle func(ctx context.Context, run models.DagRun) error, options ...Option) error {
	chosen, err := chosen(options)
	if err == nil && (r == nil || handle == nil) {
		err = fmt.Errorf("%w arguments: the Repo or the handler is nil", repo.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	s := &runner{settings: chosen, repo: r, handle: handle, hands: map[attempt]bool{}, ended: make(chan outcome, chosen.workers)}
	for {
		err := s.live(ctx)
		if !errors.Is(err, repo.ErrDead) {
			s.empty()
			return err
		}
		s.logger.WarnContext(ctx, "taken for dead", slog.Any("error", err))
	}
}

// runner is one call of Run.
type runner struct {
	settings
	repo   *repo.Repo
	handle func(context.Context, models.DagRun) error
	hands  map[attempt]bool // what is being executed; the loop alone touches it
	ended  chan outcome     // what is not any more
}

// live is the time from one registration to its end. It returns [repo.ErrDead] when others
// ended it, and nil when ctx did.
func (s *runner) live(ctx context.Context) error {
	err := s.insist(ctx, ctx, "register", func(ctx context.Context) error {
		job, err := s.repo.Register(ctx)
		if err == nil {
			s.logger.InfoContext(ctx, "registered", slog.Int64("job", job.ID))
		}
		return err
	})
	if ctx.Err() != nil && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	l := s.begin(ctx)
	defer l.end()
	if err = l.admit(ctx); !errors.Is(err, repo.ErrDead) {
		err = errors.Join(err, l.finish())
	}
	return err
}

// free is how many more runs it can execute.
func (s *runner) free() int { return s.workers - len(s.hands) }

// empty waits until nothing is being executed any more, and returns what could not be recorded.
func (s *runner) empty() (err error) {
	for len(s.hands) > 0 {
		err = errors.Join(err, s.release(<-s.ended))
	}
	return err
}

// release frees the hand that had the run.
func (s *runner) release(o outcome) error {
	delete(s.hands, o.attempt)
	return o.err
}

// insist asks the database until it answers, as long as there is patience. Each question has
// its time, after which the connection is given up.
func (s *runner) insist(patience, ctx context.Context, doing string, do func(context.Context) error) error {
	for failures := 1; ; failures++ {
		err := s.ask(ctx, do)
		if err == nil || !s.repo.Transient(err) || patience.Err() != nil {
			return err
		}
		s.tell(ctx, doing, err)
		if !sleep(patience, backoff(failures)) {
			return err
		}
	}
}

// ask asks the database once, in limited time.
func (s *runner) ask(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.deadAfter/3)
	defer cancel()
	return do(ctx)
}

// tell tells of an error that passes. Contention is no trouble: others do the work.
func (s *runner) tell(ctx context.Context, doing string, err error) {
	level := slog.LevelWarn
	if errors.Is(err, locking.ErrContention) {
		level = slog.LevelDebug
	}
	s.logger.Log(ctx, level, doing+" later", slog.Any("error", err))
}

// backoff is a random pause after some failures in a row.
func backoff(failures int) time.Duration {
	return rand.N(min(100*time.Millisecond<<min(failures, 10), 10*time.Second))
}

// sleep waits, and reports whether the context has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

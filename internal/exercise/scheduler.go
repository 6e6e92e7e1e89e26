package exercise

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Scheduler admits runs, executes them by waiting a moment, and finishes them.
type Scheduler struct {
	Repo    *repo.Repo
	Counter Counter
	// Admit is one pass. It is Repo.Admit, or the race without the gate ([Ungated]).
	Admit func(context.Context) ([]models.DagRun, error)
	// Work is the longest time that a run takes; each takes a random part of it.
	Work time.Duration
	// Final is the state in which runs end.
	Final models.State

	executing sync.WaitGroup
	ended     chan struct{} // a run has ended here: look again
	mu        sync.Mutex
	failure   error
}

// Run goes on until no run is queued or running any more. Contention is no error.
func (s *Scheduler) Run(ctx context.Context) error {
	s.ended = make(chan struct{}, 1)
	defer s.executing.Wait()
	for {
		runs, err := s.Admit(ctx)
		if err != nil && !errors.Is(err, locking.ErrContention) {
			return err
		}
		for _, run := range runs {
			if err := s.Counter.Up(run); err != nil {
				return err
			}
			s.executing.Go(func() { s.execute(ctx, run) })
		}
		if len(runs) > 0 {
			continue
		}
		if over, err := s.over(ctx); over || err != nil {
			s.executing.Wait()
			return errors.Join(err, s.failed())
		}
		s.pause(ctx)
	}
}

// execute is the life of a run after its admission.
func (s *Scheduler) execute(ctx context.Context, run models.DagRun) {
	time.Sleep(rand.N(s.Work + 1))
	err := s.Counter.Down(run)
	for err == nil {
		err = s.Repo.Finish(ctx, run, s.Final)
		if err == nil || !errors.Is(err, locking.ErrContention) {
			break
		}
		err = nil
	}
	if err != nil {
		s.mu.Lock()
		s.failure = errors.Join(s.failure, err)
		s.mu.Unlock()
	}
	select {
	case s.ended <- struct{}{}:
	default:
	}
}

func (s *Scheduler) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// over reports whether nothing is queued or running, or a run could not be finished.
func (s *Scheduler) over(ctx context.Context) (bool, error) {
	for _, state := range []models.State{models.Queued, models.Running} {
		runs, err := s.Repo.Runs(ctx, repo.RunQuery{State: state, Limit: 1})
		if err != nil || len(runs) > 0 {
			return s.failed() != nil, err
		}
	}
	return true, nil
}

// pause waits until a run has ended here, or for a random moment: schedulers that spin take
// the time from the runs that they wait for.
func (s *Scheduler) pause(ctx context.Context) {
	select {
	case <-s.ended:
	case <-time.After(rand.N(10 * time.Millisecond)):
	case <-ctx.Done():
	}
}

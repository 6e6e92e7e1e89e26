// Package limits drives usher through queue, start and finish as fast as it can under limits,
// and counts, outside the database, whether a limit was ever broken.
package limits

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Work is runs of so many gates, gate i with limit Limits[i % len(Limits)].
type Work struct {
	Gates, Runs int
	Limits      []int
	Schedulers  int
}

// gate is the name of a gate's DAG.
func gate(n int) string { return fmt.Sprintf("gate_%04d", n) }

// Run queues the runs, and returns how long it took until all had been queued, started and
// finished, and how long without the queueing. It is an error when a gate held more than its limit.
func Run(ctx context.Context, db *gorm.DB, w Work) (whole, admitted time.Duration, err error) {
	r, err := repo.New(db)
	if err != nil {
		return 0, 0, err
	}
	if err := r.Migrate(ctx); err != nil {
		return 0, 0, err
	}
	for i := range w.Gates {
		if _, err := r.SetDag(ctx, gate(i), repo.MaxActiveRuns(w.Limits[i%len(w.Limits)])); err != nil {
			return 0, 0, err
		}
	}
	began := time.Now()
	runs := make([]models.DagRun, 0, w.Runs)
	for i := range w.Runs {
		runs = append(runs, models.DagRun{DagID: gate(i % w.Gates)})
	}
	if _, err := r.Enqueue(ctx, runs...); err != nil {
		return 0, 0, err
	}
	queued := time.Now()
	tally, left := exercise.NewTally(), atomic.Int64{}
	left.Store(int64(w.Runs))
	var schedulers sync.WaitGroup
	failures := make([]error, w.Schedulers)
	for i := range w.Schedulers {
		schedulers.Go(func() { failures[i] = schedule(ctx, db, tally, &left) })
	}
	schedulers.Wait()
	for i := range w.Gates {
		if peak, limit := tally.Peak(repo.Gate{Kind: repo.DagGate, DagID: gate(i)}), w.Limits[i%len(w.Limits)]; peak > limit {
			err = errors.Join(err, fmt.Errorf("gate %d held %d runs, and its limit is %d", i, peak, limit))
		}
	}
	return time.Since(began), time.Since(queued), errors.Join(append(failures, err)...)
}

// schedule admits and finishes until nothing is left.
func schedule(ctx context.Context, db *gorm.DB, tally *exercise.Tally, left *atomic.Int64) error {
	r, err := repo.New(db)
	if err != nil {
		return err
	}
	for left.Load() > 0 {
		runs, err := r.Admit(ctx)
		if err != nil && !errors.Is(err, locking.ErrContention) {
			return err
		}
		if len(runs) == 0 {
			time.Sleep(rand.N(5 * time.Millisecond))
			continue
		}
		for _, run := range runs {
			if err := tally.Up(run); err != nil {
				return err
			}
		}
		for _, run := range runs {
			if err := tally.Down(run); err != nil {
				return err
			}
		}
		if err := r.FinishAll(ctx, runs, models.Success); err != nil {
			return err
		}
		left.Add(-int64(len(runs)))
	}
	return nil
}

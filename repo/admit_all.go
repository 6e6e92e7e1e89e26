package repo

import (
	"context"
	"fmt"
	"iter"

	"github.com/usher-go/usher/models"
)

// AdmitAll makes one pass after another until nothing more can start, and yields the runs of
// each. It ends after the first error. Nothing is lost when it stops early: what was yielded
// is running, and the rest is queued.
func (r *Repo) AdmitAll(ctx context.Context) iter.Seq2[[]models.DagRun, error] {
	return func(yield func([]models.DagRun, error) bool) {
		tried := map[Gate]bool{} // since a run was started last, and in vain: another scheduler holds them
		for {
			runs, gates, err := r.pass(ctx, r.runsPerPass)
			if len(runs) > 0 || err != nil {
				if !yield(runs, err) || err != nil {
					return
				}
				clear(tried)
				continue
			}
			before := len(tried)
			for _, g := range gates {
				tried[g] = true
			}
			if len(tried) == before {
				return
			}
		}
	}
}

// AdmitAtMost is [Repo.Admit], but starts n runs at most: as many as the caller has hands free.
// The bound of [WithRunsPerPass] holds as well. It returns [ErrInvalid] when n is not positive.
func (r *Repo) AdmitAtMost(ctx context.Context, n int) ([]models.DagRun, error) {
	if n < 1 {
		return nil, fmt.Errorf("admit: %w bound %d: admit 1 run or more", ErrInvalid, n)
	}
	runs, _, err := r.pass(ctx, min(n, r.runsPerPass))
	return runs, err
}

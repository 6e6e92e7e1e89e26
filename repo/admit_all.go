package repo

import (
	"context"
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
			runs, gates, err := r.pass(ctx)
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

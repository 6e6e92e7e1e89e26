package main

import (
	"errors"
	"fmt"

	"github.com/usher-go/usher/tests/bench/limits"
)

// gates measures runs through queue, start and finish under limits that bind.
func gates(b *bench) error {
	for _, w := range []limits.Work{
		{Gates: 1, Runs: b.size.runs / 5, Limits: []int{16}, Schedulers: 1},
		{Gates: 200, Runs: b.size.runs, Limits: []int{1, 2, 3}, Schedulers: 1},
		{Gates: 200, Runs: b.size.runs, Limits: []int{1, 2, 3}, Schedulers: 4},
	} {
		d, err := b.engine.open(b.ctx, "limits", b.folder)
		if err != nil {
			return err
		}
		whole, admitted, err := limits.Run(b.ctx, d.db, w)
		if err := errors.Join(err, d.drop()); err != nil {
			return err
		}
		name := fmt.Sprintf("%d gates, limits %v, %d schedulers: ", w.Gates, w.Limits, w.Schedulers)
		target := map[int]string{1: "≥ 1,000 (PostgreSQL)", 200: "≥ 10,000 (PostgreSQL)"}[w.Gates]
		b.add("under limits", name+"start and finish", float64(w.Runs)/admitted.Seconds(), "runs/s", target)
		b.add("under limits", name+"queue, start and finish", float64(w.Runs)/whole.Seconds(), "runs/s", "")
	}
	return nil
}

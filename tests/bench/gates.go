package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

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
		oneRow := 0.0
		if err == nil {
			oneRow, err = d.oneRow(b.ctx, w.Runs)
		}
		if err := errors.Join(err, d.drop()); err != nil {
			return err
		}
		name := fmt.Sprintf("%d gates, limits %v, %d schedulers: ", w.Gates, w.Limits, w.Schedulers)
		target := map[int]string{1: "≥ 0.2 (PostgreSQL)", 200: "≥ 2 (PostgreSQL)"}[w.Gates]
		perSecond := float64(w.Runs) / admitted.Seconds()
		b.add("under limits", name+"durable updates of one row", oneRow, "per second", "")
		b.add("under limits", name+"start and finish", perSecond, "runs/s", "")
		b.add("under limits", name+"that over durable updates of one row", perSecond/oneRow, "ratio", target)
		b.add("under limits", name+"queue, start and finish", float64(w.Runs)/whole.Seconds(), "runs/s", "")
	}
	return nil
}

// oneRow is how many updates of one row of dag_run, each with its commit, one connection makes in a second.
func (d *database) oneRow(ctx context.Context, rows int) (perSecond float64, err error) {
	const updates = 3000
	statement := fmt.Sprintf("UPDATE dag_run SET updated_at = %s WHERE id = %s", d.value(1), d.value(2))
	began := time.Now()
	for range updates {
		if _, err := d.sql.ExecContext(ctx, statement, time.Now().UTC().Truncate(time.Microsecond), 1+rand.N(rows)); err != nil {
			return 0, err
		}
	}
	return updates / time.Since(began).Seconds(), nil
}

package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// idle measures a pass that finds nothing queued, beside the floor of 100 runs.
func idle(b *bench) error {
	d, r, done, err := b.openFor(data{name: "idle", dags: b.size.idle, backfills: b.size.idle / 10, finished: b.size.idle, limit: 1, backfillLimit: 1})
	if err != nil {
		return err
	}
	defer done()
	runs, err := r.Runs(b.ctx, repo.RunQuery{State: models.Success, Limit: 100})
	if err != nil {
		return err
	}
	var pass, floor times
	for range b.size.turns * 4 {
		if err := pass.took(func() error { _, err := r.Admit(b.ctx); return err }); err != nil {
			return err
		}
		if err := floor.took(func() error { return d.floor(b.ctx, runs) }); err != nil {
			return err
		}
		if err := d.finishAsBefore(b, runs); err != nil {
			return err
		}
	}
	b.add("idle", fmt.Sprintf("a pass that finds nothing, %d DAGs", b.size.idle), pass.milliseconds(), "ms", "≤ 5 (PostgreSQL)")
	b.add("idle", "that pass over the floor of 100 runs", pass.over(floor), "ratio", "≤ 1.67")
	return nil
}

func (d *database) finishAsBefore(b *bench, runs []models.DagRun) error {
	return d.db.WithContext(b.ctx).Model(&models.DagRun{}).Where("id IN ?", ids(runs)).UpdateColumn("state", models.Success).Error
}

// steady measures how long after Finish the gate's next run starts, when all gates are full and
// waiting: by the process that finished it, and by another.
func steady(b *bench) error {
	for i, gates := range []int{b.size.steady / 10, b.size.steady} {
		d, own, done, err := b.openFor(data{name: fmt.Sprintf("steady_%d", gates), dags: gates, waiting: gates, perDag: 40, finished: gates, limit: 1})
		if err != nil {
			return err
		}
		defer done()
		other, err := repo.New(d.db)
		if err != nil {
			return err
		}
		var running []models.DagRun
		for runs, err := range own.AdmitAll(b.ctx) {
			if err != nil {
				return err
			}
			running = append(running, runs...)
		}
		var same, elsewhere, pass times
		for turn := range b.size.turns * 2 {
			who, t := own, &same
			if turn%2 == 1 {
				who, t = other, &elsewhere
			}
			place := rand.N(len(running))
			if err := t.took(func() error { return b.replace(own, who, &running[place], &pass) }); err != nil {
				return err
			}
		}
		name := fmt.Sprintf("%d gates full and waiting: ", gates)
		b.add("steady state", name+"Finish to the next run's start, same process", same.milliseconds(), "ms", "")
		b.add("steady state", name+"by another process", elsewhere.milliseconds(), "ms", "")
		if i == 1 {
			b.add("steady state", name+"by the same process, in passes", float64(same.median())/float64(pass.median()), "ratio", "≤ 3")
		}
	}
	return nil
}

// replace finishes a run and has another scheduler start the next one of its gate.
func (b *bench) replace(own, who *repo.Repo, run *models.DagRun, pass *times) error {
	if err := own.Finish(b.ctx, *run, models.Success); err != nil {
		return err
	}
	gate := repo.GateOf(*run)
	for range 1000 {
		var runs []models.DagRun
		if err := pass.took(func() (err error) { runs, err = who.Admit(b.ctx); return err }); err != nil {
			return err
		}
		for _, started := range runs {
			if repo.GateOf(started) == gate {
				*run = started
				return nil
			}
		}
	}
	return fmt.Errorf("nothing started in %v", gate)
}

// wide and narrow: many gates with one run each, and one gate with very many.
func wide(b *bench) error {
	for _, want := range []struct {
		name string
		data
	}{
		{fmt.Sprintf("wide: %d gates with one run each", b.size.wide), data{name: "wide", dags: b.size.wide, waiting: b.size.wide, perDag: 1, finished: b.size.wide, limit: 1}},
		{fmt.Sprintf("narrow: one gate with %d runs, limit %d", b.size.narrow, b.size.narrow/10), data{name: "narrow", dags: 1, waiting: 1, perDag: b.size.narrow, finished: 1, limit: b.size.narrow / 10}},
	} {
		d, r, done, err := b.openFor(want.data)
		if err != nil {
			return err
		}
		defer done()
		began, n := time.Now(), 0
		for runs, err := range r.AdmitAll(b.ctx) {
			if err != nil {
				return err
			}
			n += len(runs)
		}
		b.add("wide and narrow", want.name, float64(n)/time.Since(began).Seconds(), "runs/s", "")
		if err := d.requeueAll(b.ctx); err != nil {
			return err
		}
	}
	return nil
}

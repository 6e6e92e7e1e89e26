package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// deep measures passes over a deep queue: beside the floor and Airflow, with the limits that DAGs
// and backfills have by default; then with limits so low that a pass needs many gates, and
// finds the same work in shallower queues.
func deep(b *bench) error {
	var queues []*deepQueue
	for _, want := range b.size.deep {
		d, done, err := b.open(want)
		if err != nil {
			return err
		}
		defer done()
		queues = append(queues, &deepQueue{database: d})
	}
	if err := queues[0].byDefault(b); err != nil {
		return err
	}
	for _, q := range queues {
		if err := q.warm(b, 3); err != nil {
			return err
		}
	}
	for range b.size.turns {
		for _, q := range queues {
			if err := q.turn(b); err != nil {
				return err
			}
		}
	}
	b.floorFigures("deep queue, low limits", queues[0])
	for i, name := range []string{"a tenth of queue and history", "a hundredth", "the history a hundredth"} {
		b.add("deep queue, low limits", "pass of 500 over that in "+name, queues[0].pass[1].over(queues[i+1].pass[1]), "ratio", "≤ 1.3")
	}
	return nil
}

// byDefault measures with the limits that DAGs and backfills have by default.
func (q *deepQueue) byDefault(b *bench) error {
	if err := q.limit(b.ctx, repo.DefaultMaxActiveRuns, models.DefaultBackfillMaxActiveRuns); err != nil {
		return err
	}
	if err := q.warm(b, 12); err != nil { // until a pass has found how many gates it needs
		return err
	}
	for range b.size.turns {
		if err := q.turn(b); err != nil {
			return err
		}
	}
	b.floorFigures("deep queue", q)
	var airflow, pass times
	for range b.size.slow {
		if err := q.besideAirflow(b, &airflow, &pass); err != nil {
			return err
		}
	}
	b.add("deep queue", "runs per second, 500 a pass", float64(q.started[1])/q.pass[1].median().Seconds(), "runs/s", "")
	b.add("deep queue", "Airflow's pass of 20 runs", airflow.milliseconds(), "ms", "")
	b.add("deep queue", "runs per second over Airflow's", float64(q.started[1])/pass.median().Seconds()/(airflowBatch/airflow.median().Seconds()), "ratio", "≥ 100 (PostgreSQL)")
	want := b.size.deep[0]
	return q.limit(b.ctx, want.limit, want.backfillLimit)
}

// limit sets the limits of all DAGs and backfills.
func (d *database) limit(ctx context.Context, dags, backfills int) error {
	return errors.Join(
		d.db.WithContext(ctx).Exec("UPDATE dag SET max_active_runs = ?", dags).Error,
		d.db.WithContext(ctx).Exec("UPDATE backfill SET max_active_runs = ?", backfills).Error,
	)
}

// passSizes are the runs that a pass may start.
var passSizes = []int{100, 500}

// deepQueue is one of the databases, and what was measured on it.
type deepQueue struct {
	*database
	scheduler         []*repo.Repo // by pass size
	pass, floor, rows [2]times
	started           [2]int
}

// warm makes schedulers, and some turns that do not count.
func (q *deepQueue) warm(b *bench, turns int) error {
	q.scheduler = nil
	for _, n := range passSizes {
		r, err := repo.New(q.db, repo.WithRunsPerPass(n))
		if err != nil {
			return err
		}
		q.scheduler = append(q.scheduler, r)
	}
	for range turns {
		if err := q.turn(b); err != nil {
			return err
		}
	}
	q.pass, q.floor, q.rows = [2]times{}, [2]times{}, [2]times{}
	return nil
}

// turn is a pass of each size, the floor of the same runs, and their rows.
func (q *deepQueue) turn(b *bench) error {
	for i, r := range q.scheduler {
		var runs []models.DagRun
		err := q.pass[i].took(func() (err error) { runs, err = r.Admit(b.ctx); return err })
		if err != nil {
			return err
		}
		if len(runs) < passSizes[i]*9/10 {
			return fmt.Errorf("a pass started %d runs, not %d", len(runs), passSizes[i])
		}
		q.started[i] = len(runs)
		if err := q.requeue(b.ctx, runs); err != nil {
			return err
		}
		if err := q.floor[i].took(func() error { return q.database.floor(b.ctx, runs) }); err != nil {
			return err
		}
		if err := q.rows[i].took(func() error { return q.handOut(b.ctx, runs) }); err != nil {
			return err
		}
		if err := q.requeue(b.ctx, runs); err != nil {
			return err
		}
	}
	return nil
}

// besideAirflow is a pass of Airflow's and one of usher's.
func (q *deepQueue) besideAirflow(b *bench, airflow, pass *times) error {
	for _, do := range []struct {
		times *times
		admit func() ([]models.DagRun, error)
	}{
		{airflow, func() ([]models.DagRun, error) { return q.airflow(b.ctx) }},
		{pass, func() ([]models.DagRun, error) { return q.scheduler[1].Admit(b.ctx) }},
	} {
		var runs []models.DagRun
		if err := do.times.took(func() (err error) { runs, err = do.admit(); return err }); err != nil {
			return err
		}
		if len(runs) < airflowBatch {
			return fmt.Errorf("a pass started %d runs", len(runs))
		}
		if err := q.requeue(b.ctx, runs); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) floorFigures(workload string, q *deepQueue) {
	for i, n := range passSizes {
		least := map[int]string{100: "≥ 0.4", 500: "≥ 0.6"}[n]
		b.add(workload, fmt.Sprintf("a pass of %d runs", n), q.pass[i].milliseconds(), "ms", "")
		b.add(workload, fmt.Sprintf("the floor of the same %d runs", n), q.floor[i].milliseconds(), "ms", "")
		b.add(workload, fmt.Sprintf("a bare SELECT of the same %d runs", n), q.rows[i].milliseconds(), "ms", "")
		b.add(workload, fmt.Sprintf("runs per second over the floor, %d a pass", n), q.floor[i].over(q.pass[i]), "ratio", least)
		b.add(workload, fmt.Sprintf("runs per second over the floor and that SELECT, %d a pass", n), (q.floor[i].median()+q.rows[i].median()).Seconds()/q.pass[i].median().Seconds(), "ratio", "")
	}
}

package main

import (
	"fmt"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// deep measures passes over a deep queue, beside shallower ones, the floor and Airflow.
func deep(b *bench) error {
	var queues []*deepQueue
	for _, want := range b.size.deep {
		d, done, err := b.open(want)
		if err != nil {
			return err
		}
		defer done()
		q := &deepQueue{database: d}
		if err := q.warm(b); err != nil {
			return err
		}
		queues = append(queues, q)
	}
	for range b.size.turns {
		for _, q := range queues {
			if err := q.turn(b); err != nil {
				return err
			}
		}
	}
	var airflow, pass times
	for range b.size.slow {
		if err := queues[0].besideAirflow(b, &airflow, &pass); err != nil {
			return err
		}
	}
	b.deepFigures(queues, airflow, pass)
	return nil
}

// passSizes are the runs that a pass may start.
var passSizes = []int{100, 500}

// deepQueue is one of the databases, and what was measured on it.
type deepQueue struct {
	*database
	scheduler   []*repo.Repo // by pass size
	pass, floor [2]times
	started     [2]int
}

func (q *deepQueue) warm(b *bench) error {
	for _, n := range passSizes {
		r, err := repo.New(q.db, repo.WithRunsPerPass(n))
		if err != nil {
			return err
		}
		q.scheduler = append(q.scheduler, r)
	}
	for range 3 {
		if err := q.turn(b); err != nil {
			return err
		}
	}
	q.pass, q.floor = [2]times{}, [2]times{}
	return nil
}

// turn is a pass of each size, and the floor of the same runs.
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

func (b *bench) deepFigures(queues []*deepQueue, airflow, pass times) {
	q := queues[0]
	for i, n := range passSizes {
		least := map[int]string{100: "≥ 0.4", 500: "≥ 0.6"}[n]
		b.add("deep queue", fmt.Sprintf("a pass of %d runs", n), q.pass[i].milliseconds(), "ms", "")
		b.add("deep queue", fmt.Sprintf("the floor of the same %d runs", n), q.floor[i].milliseconds(), "ms", "")
		b.add("deep queue", fmt.Sprintf("runs per second over the floor, %d a pass", n), q.floor[i].over(q.pass[i]), "ratio", least)
	}
	for i, name := range []string{"", "a tenth of queue and history", "a hundredth", "the history a hundredth"} {
		if i > 0 {
			b.add("deep queue", "pass of 500 over that in "+name, q.pass[1].over(queues[i].pass[1]), "ratio", "≤ 1.3")
		}
	}
	b.add("deep queue", "runs per second, 500 a pass", float64(q.started[1])/q.pass[1].median().Seconds(), "runs/s", "")
	b.add("deep queue", "Airflow's pass of 20 runs", airflow.milliseconds(), "ms", "")
	b.add("deep queue", "runs per second over Airflow's", float64(q.started[1])/pass.median().Seconds()/(airflowBatch/airflow.median().Seconds()), "ratio", "≥ 100 (PostgreSQL)")
}

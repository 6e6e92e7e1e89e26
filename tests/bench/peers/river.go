package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/usher-go/usher/tests/bench/limits"
)

// job is a run without work.
type job struct{}

// Kind implements river.JobArgs.
func (job) Kind() string { return "run" }

// worker tells of each run.
type worker struct {
	river.WorkerDefaults[job]
	done chan<- struct{}
}

// Work implements river.Worker.
func (w *worker) Work(context.Context, *river.Job[job]) error {
	w.done <- struct{}{}
	return nil
}

// rivers has one queue, since River's limits by key are not part of what is free, and inserts
// and completes in batches. For one gate it has as many workers as the limit.
func rivers(ctx context.Context, dsn string, w limits.Work) (time.Duration, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return 0, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return 0, err
	}
	done := make(chan struct{}, w.Runs)
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{done: done})
	hands := 16
	if w.Gates > 1 {
		hands = 400
	}
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: hands}}, Workers: workers,
		FetchCooldown: time.Millisecond, FetchPollInterval: 10 * time.Millisecond,
	})
	if err != nil {
		return 0, err
	}
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	jobs := make([]river.InsertManyParams, w.Runs)
	for i := range jobs {
		jobs[i].Args = job{}
	}
	if _, err := client.InsertManyFast(ctx, jobs); err != nil {
		return 0, err
	}
	for range w.Runs {
		<-done
	}
	err = client.Stop(ctx) // waits until the last are completed
	return time.Since(began), err
}

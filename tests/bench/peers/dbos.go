package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/usher-go/usher/tests/bench/limits"
)

// nothing is a workflow without work.
func nothing(dbos.Context, int) (int, error) { return 0, nil }

// transact has a queue for each limit, with a partition for each gate where there are several,
// polled as often as it can be.
func transact(ctx context.Context, dsn string, w limits.Work) (time.Duration, error) {
	app, err := dbos.NewContext(ctx, dbos.Config{AppName: "peers", DatabaseURL: dsn, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	dbos.RegisterWorkflow(app, nothing)
	if err := dbos.Launch(app); err != nil {
		return 0, err
	}
	defer func() { _ = dbos.Shutdown(app, 10*time.Second) }()
	queues := make([]dbos.Queue, len(w.Limits))
	for i, limit := range w.Limits {
		concurrency := dbos.WithGlobalConcurrency(limit)
		if w.Gates > 1 {
			concurrency = dbos.WithPartitionConcurrency(limit)
		}
		queues[i], err = dbos.RegisterQueue(app, fmt.Sprintf("limit-%d", limit), concurrency, dbos.WithQueueBasePollingInterval(time.Millisecond))
		if err != nil {
			return 0, err
		}
	}
	began := time.Now()
	handles := make([]dbos.WorkflowHandle[int], w.Runs)
	for i := range handles {
		gate := i % w.Gates
		options := []dbos.WorkflowOption{dbos.WithQueue(queues[gate%len(queues)])}
		if w.Gates > 1 {
			options = append(options, dbos.WithQueuePartitionKey(fmt.Sprintf("gate-%d", gate)))
		}
		if handles[i], err = dbos.RunWorkflow(app, nothing, i, options...); err != nil {
			return 0, err
		}
	}
	for _, h := range handles {
		if _, err := h.GetResult(dbos.WithHandlePollingInterval(time.Millisecond)); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

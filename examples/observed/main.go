// Command observed is the scheduler of examples/runner with metrics: it executes runs until it is
// interrupted, and shows at /metrics what Prometheus wants to know. dashboard.json is a dashboard
// of Grafana for it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/otelusher"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

func main() {
	dsn := flag.String("db", "observed.db?_busy_timeout=10000&_journal_mode=WAL", "SQLite's `DSN`")
	address := flag.String("listen", "127.0.0.1:2112", "the `address` of /metrics")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))

	exporter, err := prometheus.New()
	check(err)
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))
	observer, err := otelusher.New()
	check(err)

	db, err := gorm.Open(sqlite.Open(*dsn))
	check(err)
	check(db.Use(locking.New()))
	r, err := repo.New(db, repo.WithObserver(observer), repo.WithLogger(logger))
	check(err)
	check(r.Migrate(ctx))
	_, err = otelusher.Gates(r)
	check(err)
	check(serve(*address))

	go queue(ctx, r)
	check(runner.Run(ctx, r, work, runner.Workers(8), runner.Logger(logger)))
}

// serve shows the metrics.
func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/metrics\n", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, promhttp.Handler())) }()
	return nil
}

// queue makes work: more than the limits let through now and then.
func queue(ctx context.Context, r *repo.Repo) {
	for ctx.Err() == nil {
		for dag, limit := range map[string]int{"extract": 4, "transform": 2, "load": 1} {
			_, err := r.SetDag(ctx, dag, repo.MaxActiveRuns(limit))
			if err == nil {
				_, err = r.Enqueue(ctx, models.DagRun{DagID: dag}, models.DagRun{DagID: dag})
			}
			if err != nil && ctx.Err() == nil {
				slog.Error("queue", "dag", dag, "error", err)
			}
		}
		select {
		case <-time.After(rand.N(2 * time.Second)):
		case <-ctx.Done():
		}
	}
}

// work takes a while, and fails now and then.
func work(ctx context.Context, run models.DagRun) error {
	select {
	case <-time.After(rand.N(time.Second)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if rand.N(20) == 0 {
		return fmt.Errorf("%s had bad luck", run.RunID)
	}
	return nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Command peers measures usher beside River, which checks no limits, and DBOS Transact, which
// does, on the same PostgreSQL, in turns: runs through queue, start and finish per second. It
// is a module of its own, so that nobody who uses usher inherits what it needs.
//
//	cd tests/bench/peers && go run . [-runs N] [-turns N] [-out FILE.md]
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/tests/bench/limits"
)

// contestant queues, starts and finishes the runs in a fresh database, and says how long it took.
type contestant struct {
	name string
	run  func(ctx context.Context, dsn string, w limits.Work) (time.Duration, error)
}

var contestants = []contestant{{"usher", usher}, {"River", rivers}, {"DBOS", transact}}

func usher(ctx context.Context, dsn string, w limits.Work) (time.Duration, error) {
	parsed, err := opendb.Parse(dsn)
	if err != nil {
		return 0, err
	}
	db, err := parsed.Open()
	if err != nil {
		return 0, err
	}
	whole, _, err := limits.Run(ctx, db, w)
	if pool, e := db.DB(); e == nil {
		_ = pool.Close()
	}
	return whole, err
}

func main() {
	runs := flag.Int("runs", 10_000, "how many runs")
	turns := flag.Int("turns", 3, "how often each is measured")
	out := flag.String("out", "", "write the table there")
	flag.Parse()
	text, err := measure(context.Background(), *runs, *turns)
	if err == nil && *out != "" {
		err = os.WriteFile(*out, []byte(text), 0o644)
	}
	fmt.Print(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, runs, turns int) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "# Beside River and DBOS\n\nRuns through queue, start and finish per second on PostgreSQL, medians of %d turns of %d runs. usher has one scheduler at one gate, and two at 200. Made by `make bench/peers`.\n\n| | usher | River (no limits) | DBOS | usher over River | usher over DBOS |\n| --- | ---: | ---: | ---: | ---: | ---: |\n", turns, runs)
	for _, w := range []limits.Work{
		{Gates: 1, Runs: runs, Limits: []int{16}, Schedulers: 1},
		{Gates: 200, Runs: runs, Limits: []int{1, 2, 3}, Schedulers: 2},
	} {
		took := make([][]time.Duration, len(contestants))
		for range turns {
			for i, c := range contestants {
				t, err := alone(ctx, c, w)
				if err != nil {
					return text.String(), fmt.Errorf("%s: %w", c.name, err)
				}
				took[i] = append(took[i], t)
			}
		}
		var perSecond []float64
		for _, t := range took {
			slices.Sort(t)
			perSecond = append(perSecond, float64(w.Runs)/t[len(t)/2].Seconds())
		}
		fmt.Fprintf(&text, "| %d gates, limits %v | %.0f | %.0f | %.0f | %.2f | %.2f |\n", w.Gates, w.Limits, perSecond[0], perSecond[1], perSecond[2], perSecond[0]/perSecond[1], perSecond[0]/perSecond[2])
	}
	return text.String(), nil
}

// alone runs a contestant in a database of its own.
func alone(ctx context.Context, c contestant, w limits.Work) (time.Duration, error) {
	u, err := url.Parse(os.Getenv("USHER_TEST_POSTGRES"))
	if err != nil || u.Host == "" {
		return 0, fmt.Errorf("set USHER_TEST_POSTGRES")
	}
	server, err := opendb.Parse(u.String())
	if err != nil {
		return 0, err
	}
	db, err := server.Open()
	if err != nil {
		return 0, err
	}
	u.Path = "/usher_peer_" + strings.ToLower(rand.Text()[:10])
	if err := db.Exec("CREATE DATABASE " + u.Path[1:]).Error; err != nil {
		return 0, err
	}
	took, err := c.run(ctx, u.String(), w)
	fmt.Fprintf(os.Stderr, "%-6s %3d gates: %.0f runs/s\n", c.name, w.Gates, float64(w.Runs)/took.Seconds())
	db.Exec("DROP DATABASE " + u.Path[1:] + " WITH (FORCE)")
	if pool, e := db.DB(); e == nil {
		_ = pool.Close()
	}
	return took, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// admitFlags are the flags of `usher admit`.
type admitFlags struct {
	passes int
	watch  bool
	every  time.Duration
}

func (a *app) admit() *cobra.Command {
	var f admitFlags
	c := &cobra.Command{
		Use:   "admit",
		Short: "Start queued runs as far as the limits allow, and print them",
		Long: `Start queued runs as far as the limits allow, and print them: until nothing more can start, for a
number of passes, or for ever. The runs that it prints are running: execute them, and end each with
usher run finish. Any number of schedulers may do this at once.`,
		Example: `  usher admit
  usher admit --passes 1 --json
  usher admit --watch --every 5s`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd.Flags().Changed); err != nil {
				return err
			}
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			return a.printStarted(cmd.Context(), f.starts(cmd.Context(), s.Repo), f.watch)
		},
	}
	c.Flags().IntVar(&f.passes, "passes", 0, "make at most so many passes (default until nothing more can start)")
	c.Flags().BoolVar(&f.watch, "watch", false, "go on until interrupted")
	c.Flags().DurationVar(&f.every, "every", time.Second, "with --watch, the pause after a pass that started nothing, about")
	return c
}

func (f admitFlags) check(given func(string) bool) error {
	switch {
	case given("passes") && f.passes < 1:
		return wrong("--passes %d: give 1 or more", f.passes)
	case given("passes") && f.watch:
		return wrong("--passes and --watch exclude each other: give one")
	case given("every") && !f.watch:
		return wrong("--every is for --watch: give both")
	case f.every <= 0:
		return wrong("--every %s: give a time such as 500ms or 5s", f.every)
	}
	return nil
}

// starts yields the runs that each pass started. A pass is not interrupted: runs that it has
// started and nobody has been told of would be lost.
func (f admitFlags) starts(ctx context.Context, r *repo.Repo) iter.Seq2[[]models.DagRun, error] {
	whole := context.WithoutCancel(ctx)
	if f.watch {
		return watch(ctx, r, f.every)
	}
	if f.passes == 0 {
		return r.AdmitAll(whole)
	}
	return func(yield func([]models.DagRun, error) bool) {
		for range f.passes {
			runs, err := r.Admit(whole)
			if !yield(runs, err) || err != nil || len(runs) == 0 {
				return
			}
		}
	}
}

// watch makes passes until the context ends. Contention is no trouble: others do the work.
func watch(ctx context.Context, r *repo.Repo, every time.Duration) iter.Seq2[[]models.DagRun, error] {
	return func(yield func([]models.DagRun, error) bool) {
		for ctx.Err() == nil {
			runs, err := r.Admit(context.WithoutCancel(ctx))
			if errors.Is(err, locking.ErrContention) {
				err = nil
			}
			if !yield(runs, err) || err != nil {
				return
			}
			if len(runs) > 0 {
				continue
			}
			select {
			case <-time.After(every/2 + rand.N(every)): // schedulers in step get in each other's way
			case <-ctx.Done():
			}
		}
	}
}

// printStarted prints runs as they start, and how many there were.
func (a *app) printStarted(ctx context.Context, starts iter.Seq2[[]models.DagRun, error], endless bool) error {
	total := 0
	for runs, err := range starts {
		if err != nil {
			return err
		}
		if err := a.printRuns(runs); err != nil {
			return err
		}
		total += len(runs)
		if err := ctx.Err(); err != nil && !endless {
			return err
		}
	}
	if total == 0 {
		a.say("no run was started: none is due, or the gates are full, paused or held (see `usher status`)")
		return nil
	}
	a.say("started %d runs", total)
	return nil
}

func (a *app) printRuns(runs []models.DagRun) error {
	if a.json {
		return printJSON(a, runs)
	}
	for _, run := range runs {
		if _, err := fmt.Fprintf(a.stdout, "%s  %s  %s\n", clock(run.StartDate), clean(run.DagID), clean(run.RunID)); err != nil {
			return written(err)
		}
	}
	return nil
}

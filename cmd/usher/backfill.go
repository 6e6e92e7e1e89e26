package main

import (
	"context"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func (a *app) backfill() *cobra.Command {
	return group("backfill", "Create, list, pause, limit, cancel, resume and complete backfills", a.backfillCreate(), a.backfillList(), a.backfillShow(),
		a.backfillChange("pause", "Keep the queued runs of a backfill queued; those that run go on", (*repo.Repo).PauseBackfill),
		a.backfillChange("unpause", "Let the queued runs of a backfill start again", (*repo.Repo).UnpauseBackfill),
		a.backfillChange("cancel", "End a backfill: its queued runs become failed, those that run go on", (*repo.Repo).CancelBackfill),
		a.backfillResume(), a.backfillSet(), a.backfillSweep())
}

func (a *app) backfillList() *cobra.Command {
	var dag string
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the active backfills",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.showBackfills(func(s *session) ([]models.Backfill, error) {
				return s.Backfills(cmd.Context(), dag, all)
			})
		},
	}
	c.Flags().StringVar(&dag, "dag", "", "only those of this DAG")
	c.Flags().BoolVar(&all, "all", false, "those that have ended too")
	return c
}

// backfillChange is a command that does one thing to a backfill and shows it.
func (a *app) backfillChange(name, short string, do func(*repo.Repo, context.Context, int64) (models.Backfill, error)) *cobra.Command {
	return &cobra.Command{
		Use:   name + " ID",
		Short: short,
		Args:  takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return a.showBackfills(func(s *session) ([]models.Backfill, error) {
				b, err := do(s.Repo, cmd.Context(), id)
				return []models.Backfill{b}, err
			})
		},
	}
}

func (a *app) backfillSet() *cobra.Command {
	var limit int
	set := func(r *repo.Repo, ctx context.Context, id int64) (models.Backfill, error) {
		return r.LimitBackfill(ctx, id, limit)
	}
	c := a.backfillChange("set", "Change the limit of an active backfill; runs that are running go on", set)
	c.Flags().IntVar(&limit, "max-active-runs", 0, "how many of its runs may run at a time; 0 lets none start")
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("max-active-runs") {
			return wrong("nothing to set: give --max-active-runs")
		}
		return nil
	}
	return c
}

func (a *app) backfillSweep() *cobra.Command {
	return &cobra.Command{
		Use:   "sweep",
		Short: "Complete the active backfills that have no run queued or running, and show them",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.showBackfills(func(s *session) ([]models.Backfill, error) {
				return s.CompleteBackfills(cmd.Context())
			})
		},
	}
}

// showBackfills shows what a command has found or changed.
func (a *app) showBackfills(do func(*session) ([]models.Backfill, error), options ...repo.Option) error {
	s, err := a.open(options...)
	if err != nil {
		return err
	}
	defer s.close()
	backfills, err := do(s)
	if err != nil {
		return err
	}
	header := table.Row{"id", "dag_id", "from_date", "to_date", "max_active_runs", "is_paused", "completed_at"}
	return show(a, backfills, header, func(b models.Backfill) table.Row {
		return table.Row{b.ID, clean(b.DagID), clock(b.FromDate), clock(b.ToDate), b.MaxActiveRuns, b.IsPaused, clock(b.CompletedAt)}
	})
}

// parseID reads the id of a backfill.
func parseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, wrong("%q is no id of a backfill: give a number, see `usher backfill list`", text)
	}
	return id, nil
}

package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func (a *app) runs() *cobra.Command {
	return group("run", "Queue, finish, clear and list runs", a.runQueue(), a.runFinish(), a.runClear(), a.runList())
}

func (a *app) runFinish() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use:     "finish DAG RUN --state success|failed",
		Short:   "End a run, which frees its slot",
		Example: "  usher run finish etl manual__1 --state success",
		Args:    takes("DAG", "RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if end := models.State(state); !end.Finished() {
				return wrong("--state %q: give success or failed", state)
			}
			return a.change(cmd, args, func(r *repo.Repo, run models.DagRun) (models.DagRun, error) {
				if err := r.Finish(cmd.Context(), run, models.State(state)); err != nil {
					return run, err
				}
				return r.Run(cmd.Context(), run.DagID, run.RunID)
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "how it ended: success or failed")
	return c
}

// change finds the run that the arguments name, makes a change to it, and shows what became of it.
func (a *app) change(cmd *cobra.Command, args []string, do func(*repo.Repo, models.DagRun) (models.DagRun, error)) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.close()
	run, err := s.Run(cmd.Context(), args[0], args[1])
	if err != nil {
		return err
	}
	if run, err = do(s.Repo, run); err != nil {
		return err
	}
	return a.showRuns([]models.DagRun{run})
}

func (a *app) runList() *cobra.Command {
	var q repo.RunQuery
	c := &cobra.Command{
		Use:     "list",
		Short:   "List runs, in the order in which they were made",
		Example: "  usher run list --dag etl --state running --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.State == "" && cmd.Flags().Changed("state") || q.Limit < 1 {
				return wrong("--state wants a state, and --limit a number from 1")
			}
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			if cmd.Flags().Changed("dag") {
				if _, err := s.Dag(cmd.Context(), q.DagID); err != nil {
					return err
				}
			}
			runs, err := s.Runs(cmd.Context(), q)
			if err != nil {
				return err
			}
			if len(runs) == q.Limit {
				a.say("only the first %d are shown: there may be more with a higher --limit", q.Limit)
			}
			return a.showRuns(runs)
		},
	}
	c.Flags().StringVar(&q.DagID, "dag", "", "only those of this DAG")
	c.Flags().StringVar((*string)(&q.State), "state", "", "only those queued, running, success or failed")
	c.Flags().IntVar(&q.Limit, "limit", repo.DefaultRunsLimit, "at most so many")
	return c
}

func (a *app) showRuns(runs []models.DagRun) error {
	header := table.Row{"dag_id", "run_id", "state", "logical_date", "run_after", "start_date", "end_date", "backfill_id", "clear_number"}
	return show(a, runs, header, func(r models.DagRun) table.Row {
		return table.Row{
			clean(r.DagID), clean(r.RunID), r.State, clock(r.LogicalDate), clock(r.RunAfter),
			clock(r.StartDate), clock(r.EndDate), orNothing(r.BackfillID), r.ClearNumber,
		}
	})
}

package main

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func (a *app) job() *cobra.Command {
	return group("job", "List schedulers, and recover the runs of dead ones", a.jobList(), a.jobRecover())
}

func (a *app) jobList() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the schedulers that are alive or have runs in hand",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			jobs, err := s.Jobs(cmd.Context(), all)
			if err != nil {
				return err
			}
			header := table.Row{"id", "state", "hostname", "unixname", "latest_heartbeat", "running"}
			return show(a, jobs, header, func(j repo.JobStatus) table.Row {
				return table.Row{j.ID, j.State, clean(j.Hostname), clean(j.Unixname), clock(j.LatestHeartbeat), j.Running}
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "the others too")
	return c
}

func (a *app) jobRecover() *cobra.Command {
	var silence time.Duration
	state := string(models.Queued)
	c := &cobra.Command{
		Use:   "recover --silent-for TIME",
		Short: "Take back the runs of schedulers that have been silent for a time, and show them",
		Long: `Take the schedulers that have not beaten for a time for dead, and queue the runs that they had in hand
again, as the next attempt, or fail them. A scheduler that was only slow can no longer finish them.
Runs that were started by usher admit are in no scheduler's hand: see usher run clear.`,
		Example: "  usher job recover --silent-for 30s --as failed",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch to := models.State(state); {
			case silence <= 0:
				return wrong("--silent-for %s: give a time such as 30s", silence)
			case to != models.Queued && to != models.Failed:
				return wrong("--as %q: give queued or failed", state)
			}
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			runs, err := s.Recover(cmd.Context(), silence, models.State(state))
			if err != nil {
				return err
			}
			return a.showRuns(runs)
		},
	}
	c.Flags().DurationVar(&silence, "silent-for", 0, "how long a scheduler must have been silent to be taken for dead")
	c.Flags().StringVar(&state, "as", state, "what becomes of the runs: queued or failed")
	return c
}

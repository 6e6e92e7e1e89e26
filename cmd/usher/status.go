package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/repo"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the limit of every gate, and what runs and waits there",
		Long: `Show every gate: the DAGs, whose runs outside backfills they limit, and the backfills that are active
or have runs. A gate that admits nothing is paused or stale. Queued counts runs that are not due yet too;
waiting_since is when the first of them could have started, or will be due.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			gates, err := s.Status(cmd.Context())
			if err != nil {
				return err
			}
			header := table.Row{"kind", "dag_id", "backfill_id", "max_active_runs", "running", "queued", "waiting_since", "admits"}
			return show(a, gates, header, func(g repo.GateStatus) table.Row {
				return table.Row{g.Kind, clean(g.DagID), idOrNothing(g.BackfillID), g.MaxActiveRuns, g.Running, g.Queued, clock(g.WaitingSince), g.Admits}
			})
		},
	}
}

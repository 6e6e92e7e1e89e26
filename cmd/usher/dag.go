package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func (a *app) dag() *cobra.Command {
	return group("dag", "Set, pause and list DAGs and their limits", a.dagSet(), a.dagList(),
		a.dagPause("pause", "Keep a DAG's queued runs queued, those of its backfills too; those that run go on", true),
		a.dagPause("unpause", "Let a DAG's queued runs start again", false))
}

func (a *app) dagSet() *cobra.Command {
	var limit int
	var byDefault, paused, stale bool
	c := &cobra.Command{
		Use:   "set DAG",
		Short: "Make a DAG, or change its settings",
		Long: `Make a DAG, or change the settings that are given and leave the others. A new DAG is neither
paused nor stale, and has the default limit. When the command has ended, no run starts any more
that the new settings forbid; runs that are running go on.`,
		Example: `  usher dag set etl --max-active-runs 2
  usher dag set etl --paused
  usher dag set etl --paused=false --default-limit`,
		Args: takes("DAG"),
	}
	c.Flags().IntVar(&limit, "max-active-runs", 0, "how many of its runs may run at a time; 0 lets none start")
	c.Flags().BoolVar(&byDefault, "default-limit", false, "give it the default limit (16)")
	c.Flags().BoolVar(&paused, "paused", false, "keep its queued runs queued")
	c.Flags().BoolVar(&stale, "stale", false, "mark its definition as gone, which keeps its runs queued too")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		given := cmd.Flags().Changed
		var settings []repo.DagSetting
		switch {
		case given("max-active-runs") && byDefault:
			return wrong("--max-active-runs and --default-limit exclude each other: give one")
		case given("max-active-runs"):
			settings = append(settings, repo.MaxActiveRuns(limit))
		case byDefault:
			settings = append(settings, repo.DefaultLimit())
		}
		if given("paused") {
			settings = append(settings, repo.Paused(paused))
		}
		if given("stale") {
			settings = append(settings, repo.Stale(stale))
		}
		s, err := a.open()
		if err != nil {
			return err
		}
		defer s.close()
		dag, err := s.SetDag(cmd.Context(), args[0], settings...)
		if err != nil {
			return err
		}
		return a.showDags([]models.Dag{dag})
	}
	return c
}

// dagPause is a command that pauses a DAG, which must exist, or lets it go on.
func (a *app) dagPause(name, short string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use:   name + " DAG",
		Short: short,
		Args:  takes("DAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			if _, err := s.Dag(cmd.Context(), args[0]); err != nil {
				return err
			}
			dag, err := s.SetDag(cmd.Context(), args[0], repo.Paused(paused))
			if err != nil {
				return err
			}
			return a.showDags([]models.Dag{dag})
		},
	}
}

func (a *app) dagList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the DAGs",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			dags, err := s.Dags(cmd.Context())
			if err != nil {
				return err
			}
			return a.showDags(dags)
		},
	}
}

func (a *app) showDags(dags []models.Dag) error {
	return show(a, dags, table.Row{"dag_id", "is_paused", "is_stale", "max_active_runs"}, func(d models.Dag) table.Row {
		limit := orNothing(d.MaxActiveRuns)
		if d.MaxActiveRuns == nil {
			limit = "default"
		}
		return table.Row{clean(d.DagID), d.IsPaused, d.IsStale, limit}
	})
}

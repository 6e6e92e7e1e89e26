package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// demoScheduler is a scheduler process of the demo. It tells the demo by stdout what it starts
// and ends, and gets the answers by stdin.
func (a *app) demoScheduler() *cobra.Command {
	var backfill int64
	var limit int
	var work time.Duration
	var gated bool
	cmd := &cobra.Command{
		Use:    "demo-scheduler",
		Short:  "One scheduler process of the demo, which starts it",
		Hidden: true,
		Args:   takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := openDemo(a.dsn)
			if err != nil {
				return err
			}
			r, err := repo.New(db)
			if err != nil {
				return err
			}
			admit := r.Admit
			if !gated {
				admit = exercise.Ungated(db, repo.Gate{Kind: repo.BackfillGate, DagID: "daily", BackfillID: backfill}, limit)
			}
			s := exercise.Scheduler{Repo: r, Counter: exercise.NewRemote(a.stdout, os.Stdin), Admit: admit, Work: work, Final: models.Success}
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().Int64Var(&backfill, "backfill", 0, "the backfill's id")
	cmd.Flags().IntVar(&limit, "max-active-runs", 1, "the backfill's limit, for a scheduler without the gate")
	cmd.Flags().DurationVar(&work, "work", 0, "the longest time that a run takes")
	cmd.Flags().BoolVar(&gated, "gated", true, "go through the gate")
	return cmd
}

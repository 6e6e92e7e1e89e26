package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func (a *app) backfillShow() *cobra.Command {
	var dates bool
	c := a.backfillChange("show", "Show a backfill, or its dates", (*repo.Repo).Backfill)
	whole := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !dates {
			return whole(cmd, args)
		}
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		s, err := a.open()
		if err != nil {
			return err
		}
		defer s.close()
		found, err := s.BackfillDates(cmd.Context(), id)
		if err != nil {
			return err
		}
		return a.showDates(found)
	}
	c.Flags().BoolVar(&dates, "dates", false, "show its dates in their order, each with its run or the reason why it has none")
	return c
}

func (a *app) backfillResume() *cobra.Command {
	c := a.backfillChange("resume", "Make a backfill that has ended active again, and queue its failed runs again", nil)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		report, end := a.progress("queueing")
		return a.showBackfills(func(s *session) ([]models.Backfill, error) {
			b, runs, err := s.ResumeBackfill(cmd.Context(), id)
			end(err)
			if err == nil {
				a.say("queued %d failed runs of backfill %d of DAG %s again", len(runs), b.ID, clean(b.DagID))
			}
			return []models.Backfill{b}, err
		}, repo.WithProgress(report))
	}
	return c
}

// showDates shows dates of a backfill, or what would be its dates.
func (a *app) showDates(dates []models.BackfillDagRun) error {
	header := table.Row{"sort_ordinal", "logical_date", "run"}
	return show(a, dates, header, func(d models.BackfillDagRun) table.Row {
		return table.Row{d.SortOrdinal, clock(d.LogicalDate), outcomeOf(d)}
	})
}

// outcomeOf says what became of a date, or would.
func outcomeOf(d models.BackfillDagRun) string {
	switch {
	case d.ExceptionReason != "":
		return "skipped: " + string(d.ExceptionReason)
	case d.DagRunID == nil:
		return "new"
	case d.ID == 0:
		return fmt.Sprintf("%d, queued again", *d.DagRunID)
	}
	return fmt.Sprint(*d.DagRunID)
}

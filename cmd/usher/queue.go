package main

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// maxCount bounds --count: the runs are in memory, and go into one transaction.
const maxCount = 1_000_000

// shownRuns is how many of the runs queued people are shown.
const shownRuns = 20

// queueFlags are the flags of `usher run queue`.
type queueFlags struct {
	runID, logicalDate, runAfter, conf string
	count                              int
	backfill                           int64
}

func (a *app) runQueue() *cobra.Command {
	var f queueFlags
	c := &cobra.Command{
		Use:   "queue DAG",
		Short: "Queue one run or many, all or none",
		Long: `Queue one run or many, all or none. A run starts when it is due and its gate has room: see usher admit.
Times are RFC 3339, such as 2024-01-01T00:00:00+02:00, or 2024-01-01T00:00:00 or 2024-01-01 in UTC.`,
		Example: `  usher run queue etl
  usher run queue etl --logical-date 2024-01-01 --conf '{"full": true}'
  usher run queue etl --count 1000 --run-id load`,
		Args: takes("DAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, err := f.runs(cmd, args[0])
			if err != nil {
				return err
			}
			return a.enqueue(cmd, runs)
		},
	}
	c.Flags().StringVar(&f.runID, "run-id", "", "the run's id; with --count N, the ids are RUN-ID_1 to RUN-ID_N (default made up)")
	c.Flags().StringVar(&f.logicalDate, "logical-date", "", "the date that the run is for, unique within the DAG (default none)")
	c.Flags().StringVar(&f.runAfter, "run-after", "", "the earliest time to start (default the logical date, else now)")
	c.Flags().IntVar(&f.count, "count", 1, "how many runs")
	c.Flags().StringVar(&f.conf, "conf", "", "the run's configuration, in JSON")
	c.Flags().Int64Var(&f.backfill, "backfill", 0, "the id of the backfill that the run belongs to (default none)")
	return c
}

// runs are the runs that the flags ask for.
func (f queueFlags) runs(cmd *cobra.Command, dagID string) ([]models.DagRun, error) {
	run, err := f.run(cmd, dagID)
	if err != nil {
		return nil, err
	}
	switch {
	case f.count < 1 || f.count > maxCount:
		return nil, wrong("--count %d: give 1 to %d", f.count, maxCount)
	case f.count == 1:
		return []models.DagRun{run}, nil
	case !run.LogicalDate.IsZero():
		return nil, wrong("--logical-date with --count %d: the runs of a DAG differ in their logical dates, so queue them one by one", f.count)
	}
	if run.RunID == "" {
		run.RunID = batch(run)
	}
	runs := make([]models.DagRun, f.count)
	for i := range runs {
		runs[i] = run
		runs[i].RunID = fmt.Sprintf("%s_%d", run.RunID, i+1)
	}
	return runs, nil
}

// run is the one run that the flags describe.
func (f queueFlags) run(cmd *cobra.Command, dagID string) (run models.DagRun, err error) {
	run = models.DagRun{DagID: dagID, RunID: f.runID, TriggeredBy: "cli"}
	given := cmd.Flags().Changed
	if given("run-id") && f.runID == "" {
		return run, wrong("--run-id is empty: give an id, or leave it out")
	}
	if given("logical-date") {
		if run.LogicalDate, err = parseTime("logical-date", f.logicalDate); err != nil {
			return run, err
		}
	}
	if given("run-after") {
		if run.RunAfter, err = parseTime("run-after", f.runAfter); err != nil {
			return run, err
		}
	}
	if given("conf") {
		if run.Conf, err = models.ParseJSON(f.conf); err != nil {
			return run, wrong("--conf: %w", err)
		}
	}
	if given("backfill") {
		if f.backfill < 1 {
			return run, wrong("--backfill %d: give the id of a backfill", f.backfill)
		}
		run.BackfillID = &f.backfill
	}
	return run, nil
}

// batch makes the id that runs queued together have in common.
func batch(run models.DagRun) string {
	runType := models.ManualRun
	if run.BackfillID != nil {
		runType = models.BackfillRun
	}
	return fmt.Sprintf("%s__%s_%s", runType, time.Now().UTC().Format(time.RFC3339), strings.ToLower(rand.Text()[:8]))
}

// enqueue queues the runs in one go and shows them, or the first of them.
func (a *app) enqueue(cmd *cobra.Command, runs []models.DagRun) error {
	report, end := a.progress("queueing")
	s, err := a.open(repo.WithProgress(report))
	if err != nil {
		return err
	}
	defer s.close()
	stored, err := s.Enqueue(cmd.Context(), runs...)
	end(err)
	if err != nil {
		return err
	}
	if len(stored) > 1 {
		a.say("queued %d runs of DAG %s", len(stored), clean(stored[0].DagID))
	}
	return a.showFirst(stored)
}

// showFirst shows runs, or the first of them when there are many and people read it.
func (a *app) showFirst(runs []models.DagRun) error {
	if len(runs) > shownRuns && !a.json {
		a.say("the first %d are shown; --json prints all", shownRuns)
		runs = runs[:shownRuns]
	}
	return a.showRuns(runs)
}

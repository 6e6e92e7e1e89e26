package main

import (
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// clearFlags are the flags of `usher run clear`.
type clearFlags struct {
	from, to       string
	failed, dryRun bool
	states         []string
	backfill       int64
}

// clearNames are those that pick several runs.
var clearNames = []string{"from", "to", "failed", "state", "backfill"}

func (a *app) runClear() *cobra.Command {
	var f clearFlags
	c := &cobra.Command{
		Use:   "clear DAG [RUN]",
		Short: "Queue a run again, or many, each as its next attempt",
		Long: `Queue a run again, whatever its state, as its next attempt: clear_number grows by one, and whoever
still executes the old attempt can no longer finish the run. A run that is queued is queued as of now.

Without RUN, queue again the runs that fit all the flags, all or none: those that have ended, unless
--failed or --state says otherwise. A run without a logical date fits no --from and no --to. What the
history knew of the old attempts, when they started and ended, is overwritten.`,
		Example: `  usher run clear etl manual__1
  usher run clear etl --failed
  usher run clear etl --from 2024-01-01 --to 2024-01-31 --dry-run
  usher run clear etl --backfill 7 --state failed --state running`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return wrong("%d arguments instead of 1 or 2: give DAG, or DAG and RUN", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.clear(cmd, args, f) },
	}
	c.Flags().StringVar(&f.from, "from", "", "only those of this logical date or later")
	c.Flags().StringVar(&f.to, "to", "", "only those of this logical date or earlier")
	c.Flags().BoolVar(&f.failed, "failed", false, "only those that failed")
	c.Flags().StringSliceVar(&f.states, "state", nil, "only those in this state: success, failed or running; may be given several times")
	c.Flags().Int64Var(&f.backfill, "backfill", 0, "only those of this backfill")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, and show what would be queued again")
	return c
}

func (a *app) clear(cmd *cobra.Command, args []string, f clearFlags) error {
	var flag string // one that picks several runs
	for _, name := range clearNames {
		if cmd.Flags().Changed(name) {
			flag = name
		}
	}
	switch {
	case len(args) == 2 && flag != "":
		return wrong("RUN and --%s exclude each other: give one", flag)
	case len(args) == 2 && f.dryRun:
		return wrong("--dry-run is for several runs: see the one with `usher why`")
	case len(args) == 2:
		return a.change(cmd, args, func(r *repo.Repo, run models.DagRun) (models.DagRun, error) {
			return r.Clear(cmd.Context(), run)
		})
	case flag == "":
		return wrong("which runs? Give RUN, or --failed, --state, --from, --to or --backfill")
	}
	q, err := f.query(cmd.Flags().Changed, args[0])
	if err != nil {
		return err
	}
	return a.clearRuns(cmd, q)
}

// query is what the flags describe.
func (f clearFlags) query(given func(string) bool, dagID string) (q repo.ClearQuery, err error) {
	q = repo.ClearQuery{DagID: dagID, BackfillID: f.backfill, DryRun: f.dryRun}
	if given("from") {
		if q.From, err = parseTime("from", f.from); err != nil {
			return q, err
		}
	}
	if given("to") {
		if q.To, err = parseTime("to", f.to); err != nil {
			return q, err
		}
	}
	if given("backfill") && f.backfill < 1 {
		return q, wrong("--backfill %d: give the id of a backfill", f.backfill)
	}
	for _, state := range f.states {
		q.States = append(q.States, models.State(state))
	}
	if f.failed {
		q.States = append(q.States, models.Failed)
	}
	return q, nil
}

// clearRuns queues the runs again and shows them, or the first of them.
func (a *app) clearRuns(cmd *cobra.Command, q repo.ClearQuery) error {
	report, end := a.progress("clearing")
	s, err := a.open(repo.WithProgress(report))
	if err != nil {
		return err
	}
	defer s.close()
	cleared, err := s.ClearRuns(cmd.Context(), q)
	end(err)
	if err != nil {
		return err
	}
	if len(cleared) == 0 {
		a.say("no run fits")
		return nil
	}
	doing := "queued %d runs again"
	if q.DryRun {
		doing = "would queue %d runs again"
	}
	a.say(doing, len(cleared))
	return a.showFirst(cleared)
}

package main

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/repo"
)

// errViolations is what an audit ends with that has found some.
var errViolations = errors.New("limits were exceeded")

// namedRuns is how many runs of a violation a table names.
const namedRuns = 5

func (a *app) audit() *cobra.Command {
	var dag string
	c := &cobra.Command{
		Use:   "audit",
		Short: "Find every time at which more runs were running than allowed",
		Long: `Go through the recorded history (start_date and end_date of the runs) and print every interval in
which a gate held more runs than its limit, with the runs. The exit status is then 1.

The limits are those of now: where one has been lowered, what was right then is printed too. Of a
run that was cleared the history knows only the latest attempt. It works on any Airflow metadata database.`,
		Example: "  usher audit\n  usher audit --dag etl --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, end := a.progress("auditing")
			s, err := a.open(repo.WithProgress(report))
			if err != nil {
				return err
			}
			defer s.close()
			if cmd.Flags().Changed("dag") {
				if _, err := s.Dag(cmd.Context(), dag); err != nil {
					return err
				}
			}
			found, total, err := a.violations(s.Audit(cmd.Context(), dag))
			end(err)
			if err != nil {
				return err
			}
			return a.showViolations(found, total)
		},
	}
	c.Flags().StringVar(&dag, "dag", "", "only the gates of this DAG")
	return c
}

// violations prints what is found as it comes with --json, and otherwise keeps what a table
// shows of it; it counts them.
func (a *app) violations(all iter.Seq2[repo.Violation, error]) (found []repo.Violation, total int, err error) {
	for v, err := range all {
		if err != nil {
			return nil, total, err
		}
		total++
		if a.json {
			if err := printJSON(a, []repo.Violation{v}); err != nil {
				return nil, total, err
			}
			continue
		}
		v.Runs = slices.Clone(v.Runs[:min(len(v.Runs), namedRuns)])
		found = append(found, v)
	}
	return found, total, nil
}

// showViolations shows what was found; that something was is the error.
func (a *app) showViolations(found []repo.Violation, total int) error {
	if total == 0 {
		a.say("no gate ever held more runs than its limit of now")
		return nil
	}
	header := table.Row{"kind", "dag_id", "backfill_id", "max_active_runs", "peak", "from", "to", "runs"}
	err := show(a, found, header, func(v repo.Violation) table.Row {
		return table.Row{v.Kind, clean(v.DagID), idOrNothing(v.BackfillID), v.MaxActiveRuns, v.Peak, clock(v.From), clock(v.To), runNames(v)}
	})
	if err == nil {
		err = fmt.Errorf("%w: %d times, the limits being those of now", errViolations, total)
	}
	return err
}

// runNames are the runs of a violation, or the first of them.
func runNames(v repo.Violation) string {
	var names []string
	for _, run := range v.Runs {
		names = append(names, clean(run.RunID))
	}
	if more := v.Total - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/schedule"
)

// backfillFlags are the flags of `usher backfill create`.
type backfillFlags struct {
	from, to, schedule, timezone string
	dates                        []string
	reprocess, conf              string
	parallel, dryRun             bool
	request                      repo.BackfillRequest
}

func (a *app) backfillCreate() *cobra.Command {
	var f backfillFlags
	c := &cobra.Command{
		Use:   "create DAG --from T --to T --schedule CRON",
		Short: "Create a backfill: the runs of a DAG for a range of dates, all or none",
		Long: `Create a backfill: the runs of a DAG for the dates that a schedule has in a range, all or none.
Dates that are not over yet are left out, and so are, unless --reprocess says otherwise, dates that
have a run; such a date keeps its place in the order, with the reason. A DAG has one active
backfill at a time.

The schedule is a cron expression of five fields, @hourly, @daily, @weekly, @monthly, @yearly, or
@every 6h, which counts from --from. Times are RFC 3339, such as 2024-01-01T00:00:00+02:00, or
2024-01-01T00:00:00 or 2024-01-01 in the zone of --timezone.`,
		Example: `  usher backfill create etl --from 2024-01-01 --to 2024-01-31 --schedule @daily --dry-run
  usher backfill create etl --from 2024-01-01 --to 2024-01-31 --schedule '30 2 * * *' --timezone Europe/Berlin
  usher backfill create etl --date 2024-01-05 --date 2024-02-05 --reprocess failed`,
		Args: takes("DAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.read(cmd, args[0]); err != nil {
				return err
			}
			if f.dryRun {
				return a.dryRunBackfill(cmd, f)
			}
			return a.createBackfill(cmd, f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.from, "from", "", "the first logical date that there may be")
	flags.StringVar(&f.to, "to", "", "the last logical date that there may be")
	flags.StringVar(&f.schedule, "schedule", "", "which dates there are: a cron expression, @daily, @every 6h, …")
	flags.StringVar(&f.timezone, "timezone", "UTC", "the time zone of the schedule, and of times without an offset")
	flags.StringArrayVar(&f.dates, "date", nil, "one logical date, instead of range and schedule; may be given several times")
	flags.IntVar(&f.request.MaxActiveRuns, "max-active-runs", models.DefaultBackfillMaxActiveRuns, "how many of its runs may run at a time")
	flags.BoolVar(&f.request.Reverse, "reverse", false, "start with the last date")
	flags.StringVar(&f.reprocess, "reprocess", string(models.ReprocessNone), "which runs that exist are queued again: none, failed or completed")
	flags.StringVar(&f.conf, "conf", "", "the configuration of each run, in JSON (default none; a run that is queued again keeps its own)")
	flags.StringVar(&f.request.User, "user", "", "who asks for it (default $USER)")
	flags.BoolVar(&f.request.Paused, "paused", false, "make it paused: nothing starts before `usher backfill unpause`")
	flags.BoolVar(&f.parallel, "parallel", false, "allow other active backfills of the DAG whose ranges do not overlap")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only show what would become of each date")
	return c
}

// read makes the request that the flags describe.
func (f *backfillFlags) read(cmd *cobra.Command, dagID string) (err error) {
	given := cmd.Flags().Changed
	zone, err := time.LoadLocation(f.timezone)
	if err != nil || f.timezone == "" || f.timezone == "Local" {
		return wrong("--timezone %q: give a name such as Europe/Berlin, or UTC", f.timezone)
	}
	if f.request.MaxActiveRuns < 1 {
		return wrong("--max-active-runs %d: give a number from 1, or --paused for a backfill that starts nothing yet", f.request.MaxActiveRuns)
	}
	if given("conf") {
		if f.request.Conf, err = models.ParseJSON(f.conf); err != nil {
			return wrong("--conf: %w", err)
		}
	}
	if !given("user") {
		f.request.User = os.Getenv("USER")
	}
	if f.reprocess == "" {
		return wrong("--reprocess is empty: give none, failed or completed")
	}
	f.request.DagID, f.request.Reprocess = dagID, models.ReprocessBehavior(f.reprocess)
	switch ranged := given("from") || given("to") || given("schedule"); {
	case given("date") && ranged:
		return wrong("--date with --from, --to or --schedule: give dates, or a range and a schedule")
	case given("date"):
		return f.readDates(zone)
	case !given("from") || !given("to") || !given("schedule"):
		return wrong("no dates: give --from, --to and --schedule, or --date")
	}
	return f.readRange(zone)
}

func (f *backfillFlags) readDates(zone *time.Location) error {
	var dates []time.Time
	for _, text := range f.dates {
		date, err := parseTimeIn(zone, "date", text)
		if err != nil {
			return err
		}
		dates = append(dates, date.Time)
	}
	f.request.Schedule = repo.Dates(dates...)
	return nil
}

func (f *backfillFlags) readRange(zone *time.Location) error {
	from, err := parseTimeIn(zone, "from", f.from)
	if err != nil {
		return err
	}
	to, err := parseTimeIn(zone, "to", f.to)
	if err != nil {
		return err
	}
	f.request.From, f.request.To = from.Time, to.Time
	f.request.Schedule, err = schedule.Parse(f.schedule, zone)
	return err
}

func (f *backfillFlags) options(more ...repo.Option) []repo.Option {
	if f.parallel {
		more = append(more, repo.WithParallelBackfills())
	}
	return more
}

func (a *app) dryRunBackfill(cmd *cobra.Command, f backfillFlags) error {
	s, err := a.open(f.options()...)
	if err != nil {
		return err
	}
	defer s.close()
	dates, err := s.DryRunBackfill(cmd.Context(), f.request)
	if err != nil {
		return err
	}
	a.say("dry run, nothing was written: %s", summary(dates, "would be queued"))
	return a.showDates(dates)
}

func (a *app) createBackfill(cmd *cobra.Command, f backfillFlags) error {
	report, end := a.progress("creating the backfill")
	return a.showBackfills(func(s *session) ([]models.Backfill, error) {
		b, dates, err := s.CreateBackfill(cmd.Context(), f.request)
		end(err)
		if err == nil {
			a.say("created backfill %d of DAG %s: %s", b.ID, clean(b.DagID), summary(dates, "queued"))
		}
		return []models.Backfill{b}, err
	}, f.options(repo.WithProgress(report))...)
}

// summary counts what became of dates.
func summary(dates []models.BackfillDagRun, queued string) string {
	skipped := map[models.ExceptionReason]int{}
	for _, d := range dates {
		skipped[d.ExceptionReason]++
	}
	text := fmt.Sprintf("%d runs %s, %d dates skipped", skipped[""], queued, len(dates)-skipped[""])
	var reasons []string
	for _, reason := range []models.ExceptionReason{models.InFlight, models.AlreadyExists, models.Unknown} {
		if n := skipped[reason]; n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", n, reason))
		}
	}
	if len(reasons) > 0 {
		text += " (" + strings.Join(reasons, ", ") + ")"
	}
	return text
}

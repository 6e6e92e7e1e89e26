package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/transfer"
)

// move is what a copy is from and to.
type move struct {
	from, to string
	ahead    bool
	silence  time.Duration
}

func (a *app) copy() *cobra.Command {
	m := move{to: os.Getenv("USHER_TO")}
	c := &cobra.Command{
		Use:   "copy [--from DSN] --to DSN",
		Short: "Copy everything to another database, of whatever engine, and compare the two",
		Long: `Copy all DAGs, runs, backfills and schedulers to another database, of whatever engine, under the keys
that they have, and compare every row in the end. Schedulers are stopped on the one, and started
on the other when this has succeeded. Tables that are missing in the target are created.

It goes on from where it is when it was interrupted: run it again. With --ahead it copies while
schedulers work; what has changed by the time of the last copy is brought up to date then.
The target must be empty, or such an unfinished copy. docs/MOVING.md goes through it step by step.`,
		Example: `  usher copy --from sqlite:usher.db --to postgres://usher@db/usher --ahead
  usher copy --from sqlite:usher.db --to postgres://usher@db/usher`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("from") {
				m.from = a.dsn
			}
			return a.transfer(cmd.Context(), m)
		},
	}
	c.Flags().StringVar(&m.from, "from", "", "the database to copy (default that of --dsn)")
	c.Flags().StringVar(&m.to, "to", m.to, "the database to copy to (default $USHER_TO)")
	c.Flags().Lookup("to").DefValue = "" // the help would show a password
	c.Flags().BoolVar(&m.ahead, "ahead", false, "copy while schedulers work, so that the last copy has little to do")
	c.Flags().DurationVar(&m.silence, "silent-for", transfer.DefaultSilence, "how long schedulers that have not left must have been silent")
	return c
}

func (a *app) transfer(ctx context.Context, m move) error {
	switch {
	case m.to == "":
		return wrong("--to is missing: name the database to copy to")
	case m.to == m.from:
		return wrong("--from and --to are the same database")
	case m.silence <= 0:
		return wrong("--silent-for %s: give a time such as 30s", m.silence)
	}
	a.dsn = m.from
	from, err := a.open()
	if err != nil {
		return err
	}
	defer from.close()
	if err := mustHave(ctx, from); err != nil {
		return err
	}
	source := a.at
	a.dsn = m.to
	to, err := a.openNew() // what goes wrong with it is explained as the target's
	if err != nil {
		return err
	}
	defer to.close()
	if err := to.prepared(ctx); err != nil {
		return err
	}
	options := []transfer.Option{transfer.SilentFor(m.silence)}
	if m.ahead {
		options = append(options, transfer.Ahead())
	}
	report, end := a.progress("copying to " + a.at.String())
	if report != nil {
		options = append(options, transfer.Progress(report))
	}
	tables, err := transfer.Copy(ctx, from.db, to.db, options...)
	end(err)
	if err != nil {
		return a.explained(source, err)
	}
	a.sayLeft(tables)
	if m.ahead {
		a.say("%s is an unfinished copy: stop the schedulers, and copy again without --ahead", a.at)
	} else {
		a.say("%s is equal to %s", a.at, source)
	}
	header := table.Row{"table", "rows", "copied", "removed"}
	return show(a, tables, header, func(t transfer.Table) table.Row { return table.Row{clean(t.Name), t.Rows, t.Copied, t.Removed} })
}

// sayLeft names the columns that were not copied.
func (a *app) sayLeft(tables []transfer.Table) {
	for _, t := range tables {
		if len(t.Left) > 0 {
			a.say("not copied, since they are not usher's: the columns %s of %s", clean(strings.Join(t.Left, ", ")), clean(t.Name))
		}
	}
}

// mustHave refuses a source that lacks something.
func mustHave(ctx context.Context, from *session) error {
	missing, err := from.Missing(ctx)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w in the source, which lacks %s", repo.ErrNoTables, strings.Join(missing, ", "))
	}
	return err
}

// prepared creates what the target lacks. A user who may not create tables is not asked to when
// they are there.
func (s *session) prepared(ctx context.Context) error {
	missing, err := s.Missing(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	return s.Migrate(ctx)
}

// explained is an error of either database, without the passwords of both, and with the advice of
// that which knows the error.
func (a *app) explained(source opendb.DSN, err error) error {
	target := a.at
	if target.Advice(err) == "" {
		a.at = source
	}
	return target.Redact(source.Redact(err))
}

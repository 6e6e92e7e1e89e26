package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/internal/opendb"
)

const defaultDSN = "sqlite:usher.db"

// app is what the commands share.
type app struct {
	stdout, stderr io.Writer
	dsn            string     // of --dsn, $USHER_DSN or the default
	json           bool       // of --json
	at             opendb.DSN // the database, once the DSN has been read
}

// run is the command: it does what the arguments say and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		return a.fail(cmd, err)
	}
	return 0
}

const about = `usher admits workflow runs: it moves them from queued to running, and never more of a DAG
or a backfill at a time than its max_active_runs, however many schedulers do it at once.

The database is that of --dsn, else of $USHER_DSN, else sqlite:usher.db:
  sqlite:PATH   postgres://USER:PASSWORD@HOST:PORT/DATABASE   mysql://USER:PASSWORD@HOST:PORT/DATABASE

Exit status: 0 done; 1 failed; 2 wrong usage; 3 no such DAG, run or backfill; 4 refused by the
state it is in. With --json, stdout has one JSON object a line; messages go to stderr.`

const rootExamples = `  usher migrate
  usher dag set etl --max-active-runs 2
  usher run queue etl --count 5
  usher admit
  usher status`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "usher",
		Short:             "Admit workflow runs, never more at a time than allowed",
		Long:              about,
		Example:           rootExamples,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknown(cmd, args[0])
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrong("%w", err) })
	root.PersistentFlags().StringVar(&a.dsn, "dsn", cmp.Or(os.Getenv("USHER_DSN"), defaultDSN), "the database (default $USHER_DSN, else "+defaultDSN+")")
	root.PersistentFlags().Lookup("dsn").DefValue = "" // the help would show the password in $USHER_DSN
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON object a line, keys named as the columns")
	root.AddCommand(a.migrate(), a.dag(), a.runs(), a.backfill(), a.job(), a.admit(), a.status(), a.why(), a.audit(), a.doctor(), a.copy(), a.demo(), a.demoScheduler())
	return root
}

// group is a command that only has others below it.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return wrong("say what to do: %s", names(cmd))
		}
		return unknown(cmd, args[0])
	}}
	g.AddCommand(commands...)
	return g
}

// version is that of the module, or of the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}

package main

import (
	"context"
	"errors"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/repo"
)

// finding is a line of the doctor's report.
type finding struct {
	Check  string `json:"check"`
	Value  string `json:"value"`
	Advice string `json:"advice"`
}

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Show the engine found, the strategy chosen and why, and settings that hurt",
		Long: `Show the engine found, its version, the strategy by which gates are held and why, the isolation, tables
and indexes that are missing, and the settings that bear on usher, with advice where there is some.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			report, err := a.examine(cmd.Context(), s)
			if err != nil {
				return err
			}
			return show(a, report, table.Row{"check", "value", "advice"}, func(f finding) table.Row {
				return table.Row{f.Check, f.Value, f.Advice}
			})
		},
	}
}

// examine makes the doctor's report.
func (a *app) examine(ctx context.Context, s *session) ([]finding, error) {
	server, err := locking.Server(ctx, s.db)
	if err != nil {
		return nil, err
	}
	report := append([]finding{{"database", a.at.String(), ""}}, engine(server)...)
	tables, err := missing(ctx, s)
	if err != nil {
		return nil, err
	}
	report = append(report, tables...)
	settings, err := server.Settings(ctx, s.db)
	for _, setting := range settings {
		report = append(report, finding{setting.Name, setting.Value, setting.Advice})
	}
	return report, err
}

// engine is what was found of the server and made of it.
func engine(server *dialect.Server) []finding {
	isolation, cluster := "the engine's own", "none"
	if options := server.TxOptions(); options != nil {
		isolation = options.Isolation.String()
	}
	if server.Cluster != "" {
		cluster = server.Cluster
	}
	return []finding{
		{"engine", server.Engine + " " + server.Version.String(), ""},
		{"strategy", server.Strategy.String(), ""},
		{"reason", server.Why, ""},
		{"isolation", isolation, ""},
		{"cluster", cluster, ""},
	}
}

// missing is what the database lacks. The runs are asked for first: to a user without rights
// all tables would seem to be missing.
func missing(ctx context.Context, s *session) (report []finding, err error) {
	if _, err := s.Runs(ctx, repo.RunQuery{Limit: 1}); err != nil && !errors.Is(err, repo.ErrNoTables) {
		return nil, err
	}
	things, err := s.Missing(ctx)
	for _, what := range things {
		report = append(report, finding{"missing", what, "run `usher migrate`"})
	}
	if len(things) == 0 {
		report = append(report, finding{"missing", "nothing", ""})
	}
	return report, err
}

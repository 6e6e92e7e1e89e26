package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// creation is something that migrate made.
type creation struct {
	Created string `json:"created"`
}

func (a *app) migrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Create the tables, columns and indexes that are missing",
		Long: `Create the tables, columns and indexes that are missing, and print them. Nothing that exists is
changed or dropped, so it may run again, and beside others.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.openNew()
			if err != nil {
				return err
			}
			defer s.close()
			missing, err := s.Missing(cmd.Context())
			if err != nil {
				return err
			}
			if err := s.Migrate(cmd.Context()); err != nil {
				return err
			}
			if len(missing) == 0 {
				a.say("%s is up to date", a.at)
				return nil
			}
			made := make([]creation, len(missing))
			for i, what := range missing {
				made[i].Created = what
			}
			return show(a, made, table.Row{"created"}, func(c creation) table.Row { return table.Row{c.Created} })
		},
	}
}

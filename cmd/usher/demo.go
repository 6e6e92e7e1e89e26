package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// demo is a placeholder.
func (a *app) demo() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Race several schedulers for one backfill", Hidden: true,
		RunE: func(*cobra.Command, []string) error { return errors.New("demo: not built yet") },
	}
}

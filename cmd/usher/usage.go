package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/schedule"
)

// errUsage is for a command line that cannot be right.
var errUsage = errors.New("wrong usage")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errUsage, fmt.Errorf(format, args...))
}

// unknown is the refusal of a command that does not exist below cmd.
func unknown(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return wrong("unknown command %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return wrong("unknown command %q: use %s", name, names(cmd))
}

// names lists the commands below cmd.
func names(cmd *cobra.Command) string {
	var all []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, c.Name())
		}
	}
	return strings.Join(all, ", ")
}

// takes checks that a command gets the arguments named.
func takes(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return wrong("unexpected %q: give no arguments but flags", args[0])
		default:
			return wrong("%d arguments instead of %d: give %s", len(args), len(names), strings.Join(names, " and "))
		}
	}
}

// parseTime reads the time that a flag was given; without an offset it is UTC.
func parseTime(flag, text string) (models.Time, error) {
	return parseTimeIn(time.UTC, flag, text)
}

// parseTimeIn is parseTime, but a time without an offset is one of the zone's.
func parseTimeIn(zone *time.Location, flag, text string) (models.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		t, err := time.Parse(layout, text)
		if layout != time.RFC3339 {
			t = schedule.Instant(t, zone)
		}
		// The years are those that every engine can store.
		if err == nil && t.UTC().Year() >= 1000 && t.UTC().Year() <= 9999 {
			return models.At(t), nil
		}
	}
	return models.Time{}, wrong("--%s %q is no time: write 2024-01-01, 2024-01-01T00:00:00 (%s) or 2024-01-01T00:00:00+02:00, of the years 1000 to 9999", flag, text, zone)
}

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/repo"
)

func (a *app) why() *cobra.Command {
	return &cobra.Command{
		Use:   "why DAG RUN",
		Short: "Say what a queued run waits for",
		Long: `Say what a queued run waits for: every reason that holds at this moment, or that there is none and
the next pass will start it. Of a run that is not queued, say what it is.`,
		Example: "  usher why etl manual__1\n  usher why etl manual__1 --json",
		Args:    takes("DAG", "RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			e, err := s.Why(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(a, []repo.Explanation{e})
			}
			_, err = fmt.Fprint(a.stdout, sentences(e))
			return written(err)
		},
	}
}

// sentences are the reasons for people, each on a line, with the runs that hold the slots below.
func sentences(e repo.Explanation) string {
	var text strings.Builder
	for _, reason := range e.Reasons {
		sentence := []rune(clean(reason.Text))
		fmt.Fprintf(&text, "%s%s.\n", strings.ToUpper(string(sentence[:1])), string(sentence[1:]))
		for _, h := range reason.Holders {
			fmt.Fprintf(&text, "  %s since %s\n", clean(h.RunID), clock(h.StartDate))
		}
		if more := e.Running - len(reason.Holders); len(reason.Holders) > 0 && more > 0 {
			fmt.Fprintf(&text, "  and %d more\n", more)
		}
	}
	return text.String()
}

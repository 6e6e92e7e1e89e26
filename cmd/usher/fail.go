package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/transfer"
)

// Exit statuses, as the root's help has them.
const (
	failed  = 1
	misused = 2
	absent  = 3
	refused = 4
)

// outcome is what becomes of an error: an exit status, and what to do about it.
type outcome struct {
	is     error
	status int
	advice string
}

// outcomes is searched in order. An error that is none of them has status failed, and the
// advice that opendb has for it.
func outcomes() []outcome {
	return []outcome{
		{errUsage, misused, ""},
		{repo.ErrInvalid, misused, ""},
		{opendb.ErrDSN, misused, ""},
		{repo.ErrNotPeriodic, misused, "give a cron expression such as '0 0 * * *', or @daily"},
		{repo.ErrDateOrder, misused, "give --from before --to"},
		{repo.ErrFuture, misused, "give a range that has begun"},
		{repo.ErrNoDates, misused, "nothing was made: give a longer range, or see what there is with --dry-run"},
		{repo.ErrDagNotFound, absent, "see `usher dag list`, or make it with `usher dag set`"},
		{repo.ErrRunNotFound, absent, "see `usher run list`"},
		{repo.ErrBackfillNotFound, absent, "see `usher backfill list --all`"},
		{repo.ErrCompleted, refused, "what of it is queued again by `usher run clear` starts all the same"},
		{repo.ErrBackfillActive, refused, "wait until it ends or cancel it, or, for other dates, give --parallel"},
		{repo.ErrNotEnded, refused, "see `usher backfill show`"},
		{repo.ErrNoneFailed, refused, "`usher run clear` queues one run again"},
		{repo.ErrExists, refused, "nothing was queued: give another --run-id or --logical-date, or clear the run that exists"},
		{repo.ErrAttempt, refused, "look at it anew with `usher run list`"},
		{repo.ErrState, refused, "`usher run clear` queues it again"},
		{repo.ErrFull, refused, "see `usher status`"},
		{transfer.ErrAlive, refused, "stop them, or copy most of it meanwhile with --ahead"},
		{transfer.ErrForeign, refused, "nothing of it was changed: name an empty database, or empty this one first"},
		{transfer.ErrUnfinished, refused, "finish it from the database that it is a copy of, or begin with that one"},
		{transfer.ErrDiffers, failed, "stop what still changes the source, and run the copy again, which goes on from here"},
		{repo.ErrNoTables, failed, ""},
		{opendb.ErrNoDatabase, failed, ""},
		{locking.ErrContention, failed, "nothing was changed: try again"},
		{locking.ErrCommitUnknown, failed, "look with `usher run list` before you try again"},
	}
}

// fail says in one line what was wrong and what to do, and returns the exit status.
func (a *app) fail(cmd *cobra.Command, err error) int {
	found := outcome{err, failed, a.at.Advice(err)}
	for _, o := range slices.Backward(outcomes()) {
		if errors.Is(err, o.is) {
			found = o
		}
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	text := oneLine(a.at.Redact(err).Error())
	if found.advice != "" {
		text += "; " + found.advice
	}
	if found.status == misused {
		text += fmt.Sprintf(" (see `%s --help`)", cmd.CommandPath())
	}
	a.say("usher: %s", text)
	return found.status
}

// oneLine joins the lines of an error. Drivers that tried in several ways repeat themselves.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}

// say writes a line to stderr, without what could be a password: a DSN may have been typed
// where it does not belong, and be repeated in the refusal.
func (a *app) say(format string, args ...any) {
	text := userPassword.ReplaceAllStringFunc(fmt.Sprintf(format, args...), func(found string) string {
		if strings.HasSuffix(found, ":PASSWORD@") { // the form of a DSN, in advice
			return found
		}
		return userPassword.ReplaceAllString(found, "://$1:***@")
	})
	text = passwordParameter.ReplaceAllString(text, "$1=***")
	_, _ = fmt.Fprintln(a.stderr, text) // there is nobody left to tell
}

var (
	userPassword      = regexp.MustCompile(`://([^\s:/@]*):\S*@`)
	passwordParameter = regexp.MustCompile(`(?i)(\w*pass\w*)=[^\s&"']+`)
)

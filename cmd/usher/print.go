package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/usher-go/usher/models"
)

// show prints rows on stdout: with --json an object a line, otherwise a table with the
// columns that people want.
func show[T any](a *app, rows []T, header table.Row, cells func(T) table.Row) error {
	if a.json {
		return printJSON(a, rows)
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	_, err := fmt.Fprintln(a.stdout, t.Render())
	return written(err)
}

func printJSON[T any](a *app, rows []T) error {
	out := bufio.NewWriter(a.stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, row := range rows {
		if err := encoder.Encode(row); err != nil {
			return written(err)
		}
	}
	return written(out.Flush())
}

// written says of an error that it came after the work, which is done.
func written(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write the result, though the command has done its work: %w", err)
}

// clean is text of a user as a terminal may show it: quoted when it has control characters.
func clean(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// clock is a time for people, empty for none.
func clock(t models.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// orNothing is a number that may be missing.
func orNothing[T any](n *T) any {
	if n == nil {
		return ""
	}
	return *n
}

// idOrNothing is an id that is 0 for none.
func idOrNothing(id int64) any {
	if id == 0 {
		return ""
	}
	return id
}

// isTerminal reports whether w is a device that shows text as it comes.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

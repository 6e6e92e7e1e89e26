package dialect

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/engines has a page for each engine: the settings that `usher doctor` shows, the versions
// that are refused and waited with, and what is made of each error that it names.
func TestEnginePages(t *testing.T) {
	for _, c := range []struct {
		page     string
		d        Dialect
		needs    string // in the first sentence
		settings []setting
		code     func(string) error
	}{
		{"postgresql", postgres{}, "9.5", postgresSettings, func(code string) error { return stateError(code) }},
		{"mysql", mysql{}, "5.7", mysqlSettings, numberError},
		{"mariadb", mariadb{}, "10.2.1", mariadbSettings, numberError},
		{"sqlite", sqlite{}, "3.24", sqliteSettings, codeError},
	} {
		read, err := os.ReadFile("../docs/engines/" + c.page + ".md")
		require.NoError(t, err)
		page := string(read)

		require.Contains(t, page, "usher needs "+c.needs)
		needs := parseVersion(c.needs)
		_, _, err = c.d.Lock(needs)
		require.NoError(t, err, c.page)
		_, _, err = c.d.Lock(Version{Major: needs.Major - 1, Minor: 99})
		require.ErrorIs(t, err, ErrUnsupported, c.page)

		var names []string
		for _, s := range c.settings {
			names = append(names, s.name)
		}
		require.ElementsMatch(t, names, section(t, page, "Settings", "(?m)^\\| `(\\w+)` \\|"), c.page)

		codes := 0
		for _, row := range regexp.MustCompile(`(?m)^\| ([^|]*?\d[^|]*?) \| ([^|]+?) \|$`).FindAllStringSubmatch(errorsOf(t, page), -1) {
			for _, code := range regexp.MustCompile(`\b(\d{1,4}|\d{5}|[0-9][0-9A-Z]{4})\b`).FindAllString(row[1], -1) {
				codes++
				class := c.d.Class(c.code(code))
				require.Contains(t, mayBe(row[2]), class, "%s: %s is %s, and the page says: %s", c.page, code, class, row[2])
			}
		}
		require.Greater(t, codes, 4, c.page)
	}
}

// mayBe are the classes of which something can be said so.
func mayBe(said string) []Class {
	for _, c := range []struct {
		mark    string
		classes []Class
	}{
		{"another connection", []Class{Lost, LeftOpen}},
		{"lost connection", []Class{Lost}},
		{"tries", []Class{Conflict, Busy}},
		{"Transient", []Class{ReadOnly, Full}},
		{"right", []Class{Denied}},
		{"ErrNoTables", []Class{Missing}},
	} {
		if strings.Contains(said, c.mark) {
			return c.classes
		}
	}
	return nil
}

// errorsOf is the part of a page that is about errors.
func errorsOf(t *testing.T, page string) string {
	_, after, found := strings.Cut(page, "## What goes wrong")
	require.True(t, found)
	part, _, _ := strings.Cut(after, "\n## ")
	return part
}

// section are the first groups of what is found in a part of a page.
func section(t *testing.T, page, title, pattern string) (all []string) {
	_, after, found := strings.Cut(page, "## "+title+"\n")
	require.True(t, found, title)
	part, _, _ := strings.Cut(after, "\n## ")
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(part, -1) {
		all = append(all, match[1])
	}
	require.False(t, slices.Contains(all, ""))
	return all
}

// Errors in the shapes of the drivers.

type stateError string

func (e stateError) Error() string    { return "SQLSTATE " + string(e) }
func (e stateError) SQLState() string { return string(e) }

type numbered struct{ Number uint16 }

func (e *numbered) Error() string { return strconv.Itoa(int(e.Number)) }

func numberError(code string) error {
	n, _ := strconv.Atoi(code)
	return &numbered{uint16(n)}
}

type coded int

func (c coded) Error() string { return strconv.Itoa(int(c)) }
func (c coded) Code() int     { return int(c) }

func codeError(code string) error {
	n, _ := strconv.Atoi(code)
	return coded(n)
}

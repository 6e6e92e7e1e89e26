// Package examples has programs that use usher, and the test that the README tells the truth.
package examples

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readme is the text of the README.
func readme(t *testing.T) string {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	return string(text)
}

// guide is the text of the guide.
func guide(t *testing.T) string {
	text, err := os.ReadFile("../docs/GUIDE.md")
	require.NoError(t, err)
	return string(text)
}

// snippets are a text's code blocks in a language.
func snippets(t *testing.T, text, language string) (found []string) {
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		found = append(found, block[1])
	}
	require.NotEmpty(t, found)
	return found
}

// unindented is source without the indentation of its lines, which differs by where it stands.
func unindented(source string) string {
	return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(source, "")
}

// run runs a command and returns what it printed.
func run(t *testing.T, dir, command string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", command, args, out)
	return string(out)
}

// build builds a command of the repository.
func build(t *testing.T, path string) string {
	program := filepath.Join(t.TempDir(), filepath.Base(path))
	run(t, "..", "go", "build", "-o", program, path)
	return program
}

func TestReadmeProgramsAreExamples(t *testing.T) {
	var sources []string
	for _, file := range []string{"quickstart/main.go", "tasks/main.go", "runner/main.go", "service/main.go", "../repo/example_test.go", "../repo/example_loop_test.go", "../repo/example_own_locking_test.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		sources = append(sources, unindented(string(source)))
	}
	for _, snippet := range slices.Concat(snippets(t, readme(t), "go"), snippets(t, guide(t), "go")) {
		require.True(t, slices.ContainsFunc(sources, func(source string) bool { return strings.Contains(source, unindented(snippet)) }),
			"no example has this:\n%s", snippet)
	}
}

func TestReadmeCommandsOnSQLite(t *testing.T) {
	dir, usher := t.TempDir(), build(t, "./cmd/usher")
	ran := 0
	for _, snippet := range snippets(t, readme(t), "sh") {
		for line := range strings.Lines(snippet) {
			ran++
			switch words := strings.Fields(line); words[0] {
			case "usher":
				run(t, dir, usher, words[1:]...)
			case "make":
				run(t, "..", "make", "-n", words[1])
			case "go":
				if words[1] == "get" { // tests/importing_test.go has it in a module of its own
					require.Equal(t, "go get github.com/usher-go/usher\n", line)
					continue
				}
				require.Equal(t, "go run ./cmd/usher demo\n", line)
				run(t, "..", "go", "run", "./cmd/usher", "demo", "--runs", "40", "--chart", filepath.Join(dir, "demo.svg"))
			default:
				require.Fail(t, "a command that no test knows", line)
			}
		}
	}
	require.GreaterOrEqual(t, ran, 8)
	require.Contains(t, run(t, dir, usher, "status"), "etl")
}

func TestReadmeLinksLead(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	engines, err := filepath.Glob("../docs/engines/*.md")
	require.NoError(t, err)
	for _, page := range slices.Concat([]string{"../README.md"}, pages, engines) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^):#\s(]+)\)`).FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), link[1]))
			require.NoError(t, err, "%s names a file that is not there", page)
		}
	}
}

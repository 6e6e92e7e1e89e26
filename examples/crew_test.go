package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crew is processes of a program that execute runs, and say so before they start one and before
// they finish it. They write to one file, which so has all in the order in which it happened.
type crew struct {
	*testing.T
	program, dir, out string
	members           []*exec.Cmd
}

func newCrew(t *testing.T, path string) *crew {
	dir := t.TempDir()
	c := &crew{T: t, program: build(t, path), dir: dir, out: filepath.Join(dir, "out")}
	require.NoError(t, os.WriteFile(c.out, nil, 0o600))
	return c
}

// start starts one more.
func (c *crew) start(environment []string, args ...string) *exec.Cmd {
	out, err := os.OpenFile(c.out, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(c, err)
	cmd := exec.Command(c.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, append(os.Environ(), environment...), out, out
	require.NoError(c, cmd.Start())
	require.NoError(c, out.Close())
	c.Cleanup(func() { _ = cmd.Process.Kill() })
	c.members = append(c.members, cmd)
	return cmd
}

// end asks all to end, as CTRL-C does.
func (c *crew) end() {
	for _, cmd := range c.members {
		require.NoError(c, cmd.Process.Signal(os.Interrupt))
	}
	for _, cmd := range c.members {
		require.NoError(c, cmd.Wait(), c.text())
	}
	c.members = nil
}

func (c *crew) text() string {
	text, err := os.ReadFile(c.out)
	require.NoError(c, err)
	return string(text)
}

// until waits until what they have written is as it should be.
func (c *crew) until(what string, so func() bool) {
	c.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !so(); <-time.After(20 * time.Millisecond) {
		require.True(c, time.Now().Before(deadline), "%s:\n%s", what, c.text())
	}
}

var stepOfRun = regexp.MustCompile(`(?m)^(started|ending) (.+)$`)

// executed is how often each run was brought to its end, of those that fit, and how many of them
// were executed at a time. One that a killed process had in hand is, until another has ended it.
func (c *crew) executed(fitting string) (ended map[string]int, peak int) {
	fit := regexp.MustCompile(fitting)
	ended, now := map[string]int{}, map[string]bool{}
	for _, step := range stepOfRun.FindAllStringSubmatch(c.text(), -1) {
		switch id := step[2]; {
		case !fit.MatchString(id):
		case step[1] == "started":
			now[id] = true
			peak = max(peak, len(now))
		default:
			delete(now, id)
			ended[id]++
		}
	}
	return ended, peak
}

// once asserts that n runs were executed, each once, and up to the limit at a time.
func (c *crew) once(n, limit int, fitting string) {
	c.Helper()
	ended, peak := c.executed(fitting)
	require.Len(c, ended, n, c.text())
	for id, times := range ended {
		require.Equal(c, 1, times, id)
	}
	require.Equal(c, limit, peak, "the limit is reached, and not exceeded:\n%s", c.text())
}

package main_test

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// hiddenPassword: no command shows the password of the DSN when all goes well, doctor neither,
// and no process that usher starts has it among its arguments, where every user sees them.
// What refusals show is checked by refused.
func hiddenPassword(t *testing.T, d testdb.Database) {
	u, err := url.Parse(d.DSN)
	require.NoError(t, err)
	password, _ := u.User.Password()
	require.NotEmpty(t, password)
	prepare(t, d)
	for _, args := range everything() {
		if slices.Contains(args, "--watch") {
			continue // it does not end
		}
		for _, more := range [][]string{nil, {"--json"}, {"--dsn", d.DSN}} {
			r := usher(t, d.DSN, append(slices.Clone(args), more...)...)
			require.NotContains(t, r.stdout+r.stderr, password, "%v", args)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	demo := command(t, ctx, "", "demo", "--dsn", d.DSN, "--schedulers", "2", "--runs", "100", "--work", "1m")
	var said bytes.Buffer
	demo.Stdout, demo.Stderr = &said, &said
	require.NoError(t, demo.Start())
	for _, arguments := range children(t, ctx, demo.Process.Pid, 2) {
		require.Contains(t, arguments, "demo-scheduler")
		require.NotContains(t, arguments, password)
		require.NotContains(t, arguments, "://")
	}
	require.NoError(t, demo.Process.Signal(os.Interrupt))
	require.Error(t, demo.Wait())
	require.NotContains(t, said.String(), password)
}

// children are the arguments of the processes that a process has started, once there are so many.
func children(t *testing.T, ctx context.Context, parent, n int) (found []string) {
	for len(found) < n {
		found = nil
		listed, err := exec.CommandContext(ctx, "ps", "-A", "-ww", "-o", "ppid=,args=").Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(listed)) {
			if id, arguments, _ := strings.Cut(strings.TrimSpace(line), " "); id == strconv.Itoa(parent) && strings.Contains(arguments, "demo-scheduler") {
				found = append(found, arguments)
			}
		}
	}
	return found
}

package dialect

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzIdentify: whatever a server says of itself, it is refused or gets a strategy, and one
// that nobody knows is never trusted with less than a lock or a fence.
func FuzzIdentify(f *testing.F) {
	for _, banner := range []string{
		"", "8.0.36", "5.5.5-10.11.19-MariaDB-0+deb12u1", "11.8.9-MariaDB-4 from Debian", "8.0.11-TiDB-v8.5.6", "8.0.30-Vitess", "5.6.51", "9.7.4-2",
		"PostgreSQL 15.18 (Debian) on x86_64", "PostgreSQL 9.4.26", "CockroachDB CCL v24.3.5", "PostgreSQL 11.2-YB-2.21.0", "PostgreSQL 16", "3.54.1", "99999999999999999999.1.2", "-1", "٣.٤",
	} {
		f.Add(banner, "Source distribution", "ON", "")
	}
	f.Fuzz(func(t *testing.T, banner, comment, wsrep, group string) {
		v := parseVersion(banner)
		require.Equal(t, v, parseVersion(v.String()))
		require.True(t, v.AtLeast(v.Major, v.Minor, v.Patch))
		require.False(t, v.AtLeast(v.Major, v.Minor, v.Patch+1))
		servers := []*Server{
			identifyMySQL(banner, comment, map[string]string{"wsrep_on": wsrep, "wsrep_provider": group, "group_replication_group_name": group, "group_replication_single_primary_mode": "OFF"}),
			{Dialect: postgres{}, Engine: "PostgreSQL", Banner: banner, Version: v},
			{Dialect: sqlite{}, Engine: "SQLite", Banner: banner, Version: v},
			{Dialect: unknown{}, Engine: banner, Banner: banner},
		}
		for i, s := range servers {
			if err := s.choose(); err != nil {
				require.ErrorIs(t, err, ErrUnsupported)
				continue
			}
			require.NotEmpty(t, s.Why)
			require.NotEmpty(t, s.Strategy.String())
			if i == 0 && s.Cluster != "" || i == 3 {
				require.True(t, s.Strategy.Fence, "%s", s.Why)
			}
			if i != 2 {
				require.NotEqual(t, SingleWriter, s.Strategy)
			}
		}
	})
}

// anError is what some driver might return.
type anError struct {
	text   string
	Number uint16
	state  string
	code   int
	cause  error
}

func (e *anError) Error() string    { return e.text }
func (e *anError) SQLState() string { return e.state }
func (e *anError) Code() int        { return e.code }
func (e *anError) Unwrap() error    { return e.cause }

// FuzzClass: every error has a class, the same however it is wrapped, and an end of the context
// is never taken for a lost connection.
func FuzzClass(f *testing.F) {
	for _, number := range []uint16{0, 1213, 1205, 1020, 1180, 3572, 1062, 65535} {
		f.Add("invalid connection", number, "40001", 5, true)
		f.Add("", number, "", 517, false)
	}
	f.Fuzz(func(t *testing.T, text string, number uint16, state string, code int, ended bool) {
		err := &anError{text: text, Number: number, state: state, code: code}
		if ended {
			err.cause = context.Canceled
		}
		for _, d := range []Dialect{postgres{}, mysql{}, mariadb{}, sqlite{}, unknown{}} {
			class := d.Class(err)
			require.NotEmpty(t, class.String())
			require.Equal(t, class, d.Class(fmt.Errorf("do: %w", err)))
			require.Equal(t, class, d.Class(errors.Join(errors.New(text+"!"), err)))
			var none *anError
			require.Equal(t, Other, d.Class(none))
			require.Equal(t, Other, d.Class(fmt.Errorf("%w (%w)", context.DeadlineExceeded, context.Canceled)))
		}
	})
}

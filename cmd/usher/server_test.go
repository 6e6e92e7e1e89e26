package main_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// roles is how an engine makes users.
type roles struct{ create, read, revoke, drop string }

// onServer is what can go wrong between the command and a server.
func onServer(t *testing.T, database func(*testing.T) testdb.Database, sql roles) {
	for name, check := range map[string]func(*testing.T, testdb.Database){
		"wrong password":          wrongPassword,
		"password is hidden":      hiddenPassword,
		"server is down":          serverDown,
		"database does not exist": noDatabase,
		"user without rights":     func(t *testing.T, d testdb.Database) { userWithoutRights(t, d, sql) },
		"Grants":                  func(t *testing.T, d testdb.Database) { leastPrivilege(t, d, sql) },
		"copy is killed":          copyKilled,
		"Grants to copy":          func(t *testing.T, d testdb.Database) { leastToCopy(t, d, sql) },
		"user who may only read":  func(t *testing.T, d testdb.Database) { userWhoReads(t, d, sql) },
	} {
		t.Run(name, func(t *testing.T) { check(t, database(t)) })
	}
}

// everything is all commands, migrate and doctor too.
func everything() [][]string { return append(commands, []string{"migrate"}, []string{"doctor"}) }

func wrongPassword(t *testing.T, d testdb.Database) {
	prepare(t, d)
	before := contents(t, d)
	plain := with(t, d.DSN, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "Wr0ng/pass word") })
	parameter := with(t, d.DSN, func(u *url.URL) {
		u.User = url.User(u.User.Username())
		u.RawQuery = url.Values{"password": {"Wr0ng/pass word"}}.Encode()
	})
	for _, args := range everything() {
		refused(t, usher(t, plain, args...), 1, "check user and password")
		refused(t, usher(t, parameter, args...), 1, "check user and password")
	}
	require.Equal(t, before, contents(t, d))
}

func serverDown(t *testing.T, d testdb.Database) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	down := with(t, d.DSN, func(u *url.URL) { u.Host = listener.Addr().String() })
	require.NoError(t, listener.Close())
	for _, args := range everything() {
		refused(t, usher(t, down, args...), 1, "check that the server runs")
	}
}

func noDatabase(t *testing.T, d testdb.Database) {
	gone := with(t, d.DSN, func(u *url.URL) { u.Path += "_gone" })
	for _, args := range everything() {
		refused(t, usher(t, gone, args...), 1, "make the database first")
	}
}

// newUser makes a user who may do nothing, and returns the database as that user sees it.
func newUser(t *testing.T, d testdb.Database, sql roles) (name, dsn string) {
	name = "usher_test_" + strings.ToLower(rand.Text()[:10])
	db := d.Open(t)
	require.NoError(t, db.Exec(fmt.Sprintf(sql.create, name, "Wr0ng")).Error)
	t.Cleanup(func() {
		require.NoError(t, db.Exec(fmt.Sprintf(sql.revoke, name)).Error)
		require.NoError(t, db.Exec(fmt.Sprintf(sql.drop, name)).Error)
	})
	return name, with(t, d.DSN, func(u *url.URL) { u.User = url.UserPassword(name, "Wr0ng") })
}

func userWithoutRights(t *testing.T, d testdb.Database, sql roles) {
	_, dsn := newUser(t, d, sql)
	refused(t, usher(t, dsn, "migrate"), 1, "that the user may")
	require.Empty(t, contents(t, d))
	prepare(t, d)
	before := contents(t, d)
	for _, args := range everything() {
		refused(t, usher(t, dsn, args...), 1, "that the user may read and write")
	}
	require.Equal(t, before, contents(t, d))
}

func userWhoReads(t *testing.T, d testdb.Database, sql roles) {
	prepare(t, d)
	name, dsn := newUser(t, d, sql)
	require.NoError(t, d.Open(t).Exec(fmt.Sprintf(sql.read, name)).Error)
	before := contents(t, d)
	require.Len(t, objects(t, dsn, "run", "list"), 2)
	require.Len(t, objects(t, dsn, "status"), 1)
	require.Len(t, objects(t, dsn, "why", "etl", "r_2"), 1)
	for _, args := range [][]string{
		{"dag", "set", "etl", "--paused"},
		{"run", "queue", "etl"},
		{"run", "finish", "etl", "r_2", "--state", "success"},
		{"run", "clear", "etl", "r_2"},
		{"admit"},
		{"admit", "--watch"},
	} {
		refused(t, usher(t, dsn, args...), 1, "that the user may read and write")
	}
	require.Equal(t, before, contents(t, d))
}

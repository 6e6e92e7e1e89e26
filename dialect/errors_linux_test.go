package dialect_test

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/dialect"
)

func TestRacesSQLiteModernc(t *testing.T) {
	onEngine(t, onSQLite("sqlite"), map[string]func(*engine){"a race that is lost again and again": lockingProtocol})
}

// lockingProtocol: a transaction begins by taking one of five locks in the -shm file, which lie at
// its bytes 123 to 127 (sqlite.org/walformat.html). When others take them from it for some ten
// seconds, SQLite says SQLITE_PROTOCOL.
func lockingProtocol(e *engine) {
	e.rows()
	shm, err := os.OpenFile(strings.TrimPrefix(e.DSN, "sqlite:")+"-shm", os.O_RDWR, 0)
	require.NoError(e, err)
	defer func() { require.NoError(e, shm.Close()) }()
	const ofFile = 37 // F_OFD_SETLK: a lock that this process has not as yet
	require.NoError(e, syscall.FcntlFlock(shm.Fd(), ofFile, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: 123, Len: 5}))
	e.is(dialect.Busy, e.db.Exec("UPDATE t SET n = 11 WHERE id = 1").Error, "locking protocol")
}

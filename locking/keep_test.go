package locking

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/utils/tests"

	"github.com/usher-go/usher/dialect"
)

// TestKeep: what a plugin knows of a database goes when nobody uses that any more.
func TestKeep(t *testing.T) {
	p := New()
	known := func() (n int) {
		p.servers.Range(func(any, any) bool { n++; return true })
		return n
	}
	func() {
		for range 3 {
			db, err := gorm.Open(tests.DummyDialector{})
			require.NoError(t, err)
			require.NoError(t, db.Use(p))
			first := p.keep(db, &dialect.Server{})
			require.Same(t, first, p.keep(db, &dialect.Server{}))
			require.Same(t, first, p.found(db))
		}
		require.Equal(t, 3, known())
	}()
	require.Eventually(t, func() bool { runtime.GC(); return known() == 0 }, 20*time.Second, time.Millisecond)
}

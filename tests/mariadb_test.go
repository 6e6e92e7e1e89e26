package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestMariaDB(t *testing.T) {
	conform(t, testdb.MariaDB, plans, leftOpen)
}

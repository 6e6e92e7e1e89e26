package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestPostgreSQL(t *testing.T) {
	conform(t, testdb.PostgreSQL, plans)
}

package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestMySQL(t *testing.T) {
	conform(t, testdb.MySQL, plans, leftOpen)
}

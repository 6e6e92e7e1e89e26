package dialect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Detect asks the server behind db who it is, and chooses how rows are held there. The name
// of GORM's dialector only says how to ask. It runs one or two short statements, on db as it
// is given: in a transaction when db is one.
//
// It returns [ErrUnsupported] for a server that is too old, and for a MySQL driver that does
// not keep times in UTC.
func Detect(ctx context.Context, db *gorm.DB) (*Server, error) {
	db = db.Session(&gorm.Session{NewDB: true, Context: ctx, Logger: db.Logger})
	db.DryRun = false // to say what would be executed, one must know the engine
	s, err := ask(db)
	if err != nil {
		return nil, fmt.Errorf("detect engine: %w", err)
	}
	return s, s.choose()
}

func ask(db *gorm.DB) (*Server, error) {
	switch db.Name() {
	case "postgres":
		return askVersion(db, postgres{}, "PostgreSQL", "SELECT version()")
	case "sqlite":
		return askVersion(db, sqlite{}, "SQLite", "SELECT sqlite_version()")
	case "mysql":
		return askMySQL(db)
	}
	return &Server{Dialect: unknown{}, Engine: db.Name()}, nil
}

// choose sets the strategy from the version, the kind of engine and the cluster.
func (s *Server) choose() error {
	if c, ok := compatibleWith(s.Banner); ok {
		s.Dialect, s.Engine, s.Strategy, s.Why = c.dialect, c.engine, c.strategy, c.why
		s.Version = c.version(s.Banner)
		return nil
	}
	lock, why, err := s.Lock(s.Version)
	if err != nil {
		return err
	}
	s.Strategy, s.Why = Strategy{Lock: lock}, why
	if _, ok := s.Dialect.(unknown); ok {
		s.Strategy.Fence = true
	}
	if s.Cluster != "" {
		s.Strategy.Fence = true
		s.Why += ", and in " + s.Cluster + " a lock is local to its node"
	}
	return nil
}

func askVersion(db *gorm.DB, d Dialect, engine, query string) (*Server, error) {
	s := &Server{Dialect: d, Engine: engine}
	err := db.Raw(query).Scan(&s.Banner).Error
	s.Version = parseVersion(s.Banner)
	return s, err
}

// inWinter and inSummer are instants of which any time zone but UTC itself moves at least one.
var (
	inWinter = time.Date(2000, 1, 1, 12, 30, 0, 0, time.UTC)
	inSummer = time.Date(2000, 7, 1, 12, 30, 0, 0, time.UTC)
)

func askMySQL(db *gorm.DB) (*Server, error) {
	var said struct{ Version, Comment, Times string }
	err := db.Raw("SELECT VERSION() AS version, @@version_comment AS comment, CONCAT(?, ' and ', ?) AS times", inWinter, inSummer).Scan(&said).Error
	if err != nil {
		return nil, err
	}
	const utc = "2000-01-01 12:30:00 and 2000-07-01 12:30:00"
	if said.Times != utc {
		return nil, fmt.Errorf("%w: the MySQL driver writes the times %s UTC as %s, so schedulers would disagree: remove loc from the DSN, or set loc=UTC", ErrUnsupported, utc, said.Times)
	}
	variables, err := mysqlVariables(db)
	return identifyMySQL(said.Version, said.Comment, variables), err
}

// mysqlVariables are the variables, in upper case, that tell of a multi-primary cluster.
func mysqlVariables(db *gorm.DB) (map[string]string, error) {
	var rows []struct{ VariableName, Value string }
	err := db.Raw("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_provider', 'group_replication_group_name', 'group_replication_single_primary_mode')").Scan(&rows).Error
	variables := map[string]string{}
	for _, row := range rows {
		variables[strings.ToLower(row.VariableName)] = strings.ToUpper(row.Value)
	}
	return variables, err
}

// identifyMySQL tells MySQL from MariaDB, and names the multi-primary cluster that the server
// is set up for, if any.
func identifyMySQL(version, comment string, variables map[string]string) *Server {
	s := &Server{Dialect: mysql{}, Engine: "MySQL", Banner: version + " " + comment}
	if strings.Contains(version, "MariaDB") {
		s.Dialect, s.Engine = mariadb{}, "MariaDB"
		version = strings.TrimPrefix(version, "5.5.5-") // what MariaDB told old replication clients
	}
	s.Version = parseVersion(version)
	switch provider := variables["wsrep_provider"]; {
	case variables["wsrep_on"] == "ON" && provider != "" && provider != "NONE":
		s.Cluster = "Galera"
	case variables["group_replication_group_name"] != "" && variables["group_replication_single_primary_mode"] == "OFF":
		s.Cluster = "Group Replication"
	}
	return s
}

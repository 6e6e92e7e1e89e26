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
	var s *Server
	var err error
	switch db.Name() {
	case "postgres":
		s, err = detectPostgres(db)
	case "mysql":
		s, err = detectMySQL(db)
	case "sqlite":
		s, err = detectSQLite(db)
	default:
		s = &Server{Dialect: unknown{}, Engine: db.Name()}
	}
	if err != nil {
		return nil, fmt.Errorf("detect engine: %w", err)
	}
	if err := s.choose(); err != nil {
		return nil, err
	}
	return s, nil
}

// choose sets the strategy from the version, the kind of engine and the cluster.
func (s *Server) choose() error {
	if c, ok := compatibleWith(s.Banner); ok {
		s.Dialect, s.Engine, s.Strategy, s.Why = c.dialect, c.engine, c.strategy, c.why
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

func detectPostgres(db *gorm.DB) (*Server, error) {
	s := &Server{Dialect: postgres{}, Engine: "PostgreSQL"}
	err := db.Raw("SELECT version()").Row().Scan(&s.Banner)
	s.Version = parseVersion(s.Banner)
	return s, err
}

func detectSQLite(db *gorm.DB) (*Server, error) {
	s := &Server{Dialect: sqlite{}, Engine: "SQLite"}
	err := db.Raw("SELECT sqlite_version()").Row().Scan(&s.Banner)
	s.Version = parseVersion(s.Banner)
	return s, err
}

func detectMySQL(db *gorm.DB) (*Server, error) {
	var version, comment string
	var midnight any
	err := db.Raw("SELECT VERSION(), @@version_comment, TIMESTAMP('2000-01-01 00:00:00')").Row().Scan(&version, &comment, &midnight)
	if err != nil {
		return nil, err
	}
	if t, ok := midnight.(time.Time); ok && !t.Equal(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
		return nil, fmt.Errorf("%w: the MySQL driver reads times in %s, so schedulers would disagree: remove loc from the DSN, or set loc=UTC", ErrUnsupported, t.Location())
	}
	s := &Server{Dialect: mysql{}, Engine: "MySQL", Banner: version + " " + comment}
	if strings.Contains(version, "MariaDB") {
		s.Dialect, s.Engine = mariadb{}, "MariaDB"
		version = strings.TrimPrefix(version, "5.5.5-") // what MariaDB told old replication clients
	}
	s.Version = parseVersion(version)
	s.Cluster, err = mysqlCluster(db)
	return s, err
}

// mysqlCluster names the multi-primary cluster that the server is set up for, if any.
func mysqlCluster(db *gorm.DB) (string, error) {
	rows, err := db.Raw("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_provider', 'group_replication_group_name', 'group_replication_single_primary_mode')").Rows()
	if err != nil {
		return "", err
	}
	defer rows.Close()
	v := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return "", err
		}
		v[strings.ToLower(name)] = strings.ToUpper(value)
	}
	switch provider := v["wsrep_provider"]; {
	case v["wsrep_on"] == "ON" && provider != "" && provider != "NONE":
		return "Galera", nil
	case v["group_replication_group_name"] != "" && v["group_replication_single_primary_mode"] == "OFF":
		return "Group Replication", nil
	}
	return "", rows.Err()
}

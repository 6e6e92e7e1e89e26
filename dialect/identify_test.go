package dialect

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/utils/tests"
)

// said is what a server says of itself; d is the dialect that GORM's dialector leads to.
type said struct {
	d         Dialect
	version   string
	comment   string
	variables map[string]string
}

func (s said) identify() (*Server, error) {
	server := &Server{Dialect: s.d, Engine: map[Dialect]string{postgres{}: "PostgreSQL", sqlite{}: "SQLite", unknown{}: "oracle"}[s.d], Banner: s.version, Version: parseVersion(s.version)}
	if s.d == (mysql{}) {
		server = identifyMySQL(s.version, s.comment, s.variables)
	}
	return server, server.choose()
}

var galera = map[string]string{"wsrep_on": "ON", "wsrep_provider": "/USR/LIB/GALERA/LIBGALERA_SMM.SO"}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		said
		engine, version, strategy, why string
		dialect                        Dialect
	}{
		{said{d: postgres{}, version: "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0) 12.2.0, 64-bit"}, "PostgreSQL", "15.18.0", "skip locked", "it has SKIP LOCKED (since 9.5)", postgres{}},
		{said{d: postgres{}, version: "PostgreSQL 9.5.25 on x86_64-pc-linux-gnu"}, "PostgreSQL", "9.5.25", "skip locked", "it has SKIP LOCKED (since 9.5)", postgres{}},
		{said{d: postgres{}, version: "PostgreSQL 16.3 on x86_64-pc-linux-musl"}, "PostgreSQL", "16.3.0", "skip locked", "it has SKIP LOCKED (since 9.5)", postgres{}},
		{said{d: postgres{}, version: "CockroachDB CCL v24.3.5 (x86_64-pc-linux-gnu, built 2025/02/03 16:44:32, go1.22.8 X:nocoverageredesign)"}, "CockroachDB", "24.3.5", "for update and fence", "its SKIP LOCKED depends on version and isolation", postgres{}},
		{said{d: postgres{}, version: "PostgreSQL 15.12-YB-2025.2.3.2-b0 on x86_64-pc-linux-gnu"}, "YugabyteDB", "2025.2.3", "for update and fence", "its SKIP LOCKED depends on isolation", postgres{}},
		{said{d: postgres{}, version: "PostgreSQL 11.2-YB-2.21.0.0-b0 on x86_64-pc-linux-gnu"}, "YugabyteDB", "2.21.0", "for update and fence", "its SKIP LOCKED depends on isolation", postgres{}},
		{said{d: postgres{}, version: "PostgreSQL 16"}, "Aurora DSQL", "16.0.0", "write and fence", "it has no locks and checks at COMMIT", postgres{}},
		{said{d: mysql{}, version: "5.7.44-log", comment: "MySQL Community Server (GPL)"}, "MySQL", "5.7.44", "for update", "SKIP LOCKED came with 8.0.1", mysql{}},
		{said{d: mysql{}, version: "8.0.0-dmr", comment: "MySQL Community Server (GPL)"}, "MySQL", "8.0.0", "for update", "SKIP LOCKED came with 8.0.1", mysql{}},
		{said{d: mysql{}, version: "8.0.1-dmr", comment: "MySQL Community Server (GPL)"}, "MySQL", "8.0.1", "skip locked", "it has SKIP LOCKED (since 8.0.1)", mysql{}},
		{said{d: mysql{}, version: "8.0.36", comment: "MySQL Community Server - GPL"}, "MySQL", "8.0.36", "skip locked", "it has SKIP LOCKED (since 8.0.1)", mysql{}},
		{said{d: mysql{}, version: "8.0.36-28", comment: "Percona Server (GPL), Release 28, Revision 47601f19"}, "MySQL", "8.0.36", "skip locked", "it has SKIP LOCKED (since 8.0.1)", mysql{}},
		{said{d: mysql{}, version: "9.7.4-2", comment: "(Debian)"}, "MySQL", "9.7.4", "skip locked", "it has SKIP LOCKED (since 8.0.1)", mysql{}},
		{said{d: mysql{}, version: "10.11.19-MariaDB-0+deb12u1", comment: "Debian 12"}, "MariaDB", "10.11.19", "skip locked", "it has SKIP LOCKED (since 10.6)", mariadb{}},
		{said{d: mysql{}, version: "5.5.5-10.11.19-MariaDB-0+deb12u1", comment: "Debian 12"}, "MariaDB", "10.11.19", "skip locked", "it has SKIP LOCKED (since 10.6)", mariadb{}},
		{said{d: mysql{}, version: "10.2.1-MariaDB", comment: "mariadb.org binary distribution"}, "MariaDB", "10.2.1", "for update", "SKIP LOCKED came with 10.6", mariadb{}},
		{said{d: mysql{}, version: "10.5.29-MariaDB-ubu2004", comment: "mariadb.org binary distribution"}, "MariaDB", "10.5.29", "for update", "SKIP LOCKED came with 10.6", mariadb{}},
		{said{d: mysql{}, version: "10.6.23-MariaDB", comment: "mariadb.org binary distribution"}, "MariaDB", "10.6.23", "skip locked", "it has SKIP LOCKED (since 10.6)", mariadb{}},
		{said{d: mysql{}, version: "11.8.9-MariaDB-4 from Debian", comment: "-- Please help get to 10k stars at https://github.com/MariaDB/Server"}, "MariaDB", "11.8.9", "skip locked", "it has SKIP LOCKED (since 10.6)", mariadb{}},
		{said{d: mysql{}, version: "8.0.11-TiDB-v8.5.6", comment: "TiDB Server (Apache License 2.0) Community Edition, MySQL 8.0 compatible"}, "TiDB", "8.5.6", "for update and fence", "it parses SKIP LOCKED and takes no lock", mysql{}},
		{said{d: mysql{}, version: "5.7.25-TiDB-v6.1.0", comment: "TiDB Server (Apache License 2.0) Community Edition, MySQL 5.7 compatible"}, "TiDB", "6.1.0", "for update and fence", "it parses SKIP LOCKED and takes no lock", mysql{}},
		{said{d: mysql{}, version: "8.0.30-Vitess", comment: "Version: 19.0.4 (Git revision 1b1e0b5 branch 'HEAD')"}, "Vitess", "19.0.4", "for update and fence", "its locks are local to a shard", mysql{}},
		{said{d: mysql{}, version: "8.0.23-PlanetScale"}, "PlanetScale", "8.0.23", "for update and fence", "its locks are local to a shard", mysql{}},
		{said{d: mysql{}, version: "5.7.25-OceanBase_CE-v4.2.1.2", comment: "OceanBase_CE 4.2.1.2 (r102000042023120514)"}, "OceanBase", "4.2.1", "for update and fence", "its SKIP LOCKED is untested", mysql{}},
		{said{d: mysql{}, version: "5.7.32", comment: "SingleStoreDB source distribution (compatible; MySQL Enterprise & MySQL Commercial)"}, "SingleStore", "5.7.32", "write and fence", "its locks are untested", mysql{}},
		{said{d: mysql{}, version: "5.5.58", comment: "MemSQL source distribution (compatible; MySQL Enterprise & MySQL Commercial)"}, "SingleStore", "5.5.58", "write and fence", "its locks are untested", mysql{}},
		{said{d: mysql{}, version: "8.0.33", comment: "Dolt"}, "Dolt", "8.0.33", "write and fence", "it parses SKIP LOCKED and takes no lock", mysql{}},
		{said{d: sqlite{}, version: "3.54.1"}, "SQLite", "3.54.1", "single writer", "SQLite has one writer at a time, and no row locks", sqlite{}},
		{said{d: unknown{}}, "oracle", "0.0.0", "for update and fence", "the engine is unknown to usher, so it locks and writes", unknown{}},
	} {
		t.Run(c.said.version+c.comment, func(t *testing.T) {
			s, err := c.identify()
			require.NoError(t, err)
			require.Equal(t, []string{c.engine, c.version, c.strategy, c.why}, []string{s.Engine, s.Version.String(), s.Strategy.String(), s.Why})
			require.Equal(t, c.dialect, s.Dialect)
			require.Empty(t, s.Cluster)
			require.Equal(t, c.dialect == postgres{}, s.NoKeyUpdate())
		})
	}
}

func TestIdentifyTooOld(t *testing.T) {
	for _, c := range []struct {
		said
		message string
	}{
		{said{d: postgres{}, version: "PostgreSQL 9.4.26 on x86_64-pc-linux-gnu"}, "unsupported database: PostgreSQL 9.4.26 is too old, usher needs 9.5 or later"},
		{said{d: postgres{}, version: "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.12103"}, "unsupported database: PostgreSQL 8.0.2 is too old, usher needs 9.5 or later"},
		{said{d: mysql{}, version: "5.6.51-log", comment: "MySQL Community Server (GPL)"}, "unsupported database: MySQL 5.6.51 is too old, usher needs 5.7 or later"},
		{said{d: mysql{}, version: "10.2.0-MariaDB"}, "unsupported database: MariaDB 10.2.0 is too old, usher needs 10.2.1 or later"},
		{said{d: mysql{}, version: "5.5.5-10.1.48-MariaDB-0+deb9u2"}, "unsupported database: MariaDB 10.1.48 is too old, usher needs 10.2.1 or later"},
		{said{d: mysql{}, version: "who knows"}, "unsupported database: MySQL 0.0.0 is too old, usher needs 5.7 or later"},
		{said{d: sqlite{}, version: "3.23.1"}, "unsupported database: SQLite 3.23.1 is too old, usher needs 3.24 or later"},
	} {
		t.Run(c.version, func(t *testing.T) {
			_, err := c.identify()
			require.ErrorIs(t, err, ErrUnsupported)
			require.EqualError(t, err, c.message)
		})
	}
}

func TestIdentifyCluster(t *testing.T) {
	group := func(single string) map[string]string {
		return map[string]string{"group_replication_group_name": "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA", "group_replication_single_primary_mode": single}
	}
	for name, c := range map[string]struct {
		said
		cluster, strategy string
	}{
		"Galera":                           {said{d: mysql{}, version: "10.11.19-MariaDB", variables: galera}, "Galera", "skip locked and fence"},
		"Galera before SKIP LOCKED":        {said{d: mysql{}, version: "10.5.29-MariaDB", variables: galera}, "Galera", "for update and fence"},
		"Percona XtraDB Cluster":           {said{d: mysql{}, version: "8.0.36-28.1", variables: galera}, "Galera", "skip locked and fence"},
		"wsrep without provider":           {said{d: mysql{}, version: "10.11.19-MariaDB", variables: map[string]string{"wsrep_on": "ON", "wsrep_provider": "NONE"}}, "", "skip locked"},
		"wsrep with an empty provider":     {said{d: mysql{}, version: "8.0.36", variables: map[string]string{"wsrep_on": "ON", "wsrep_provider": ""}}, "", "skip locked"},
		"wsrep off":                        {said{d: mysql{}, version: "10.11.19-MariaDB", variables: map[string]string{"wsrep_on": "OFF", "wsrep_provider": "/X.SO"}}, "", "skip locked"},
		"group replication, multi-primary": {said{d: mysql{}, version: "9.7.4-2", variables: group("OFF")}, "Group Replication", "skip locked and fence"},
		"group replication, one primary":   {said{d: mysql{}, version: "9.7.4-2", variables: group("ON")}, "", "skip locked"},
		"no group":                         {said{d: mysql{}, version: "9.7.4-2", variables: map[string]string{"group_replication_group_name": "", "group_replication_single_primary_mode": "OFF"}}, "", "skip locked"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := c.identify()
			require.NoError(t, err)
			require.Equal(t, []string{c.cluster, c.strategy}, []string{s.Cluster, s.Strategy.String()})
			if c.cluster != "" {
				require.Contains(t, s.Why, ", and in "+c.cluster+" a lock is local to its node")
			}
		})
	}
}

func TestDetectUnknownDialector(t *testing.T) {
	db, err := gorm.Open(tests.DummyDialector{}, &gorm.Config{})
	require.NoError(t, err)
	s, err := Detect(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, []string{"dummy", "for update and fence"}, []string{s.Engine, s.Strategy.String()})
	require.Nil(t, s.TxOptions())
	require.Equal(t, "CURRENT_TIMESTAMP", s.Now())
	require.Empty(t, s.TableOptions(s.Version))
	settings, err := s.Settings(t.Context(), db)
	require.NoError(t, err)
	require.Empty(t, settings)
}

func TestTableOptionsOfOldMySQL(t *testing.T) {
	require.Contains(t, mysql{}.TableOptions(Version{8, 0, 16}), "COLLATE=utf8mb4_bin")
	require.Contains(t, mysql{}.TableOptions(Version{8, 0, 17}), "COLLATE=utf8mb4_0900_bin")
}

func TestClassNames(t *testing.T) {
	names := map[string]bool{}
	for c := Other; c <= ReadOnly; c++ {
		names[c.String()] = true
	}
	require.Len(t, names, int(ReadOnly)+1)
}

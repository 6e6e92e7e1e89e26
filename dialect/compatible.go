package dialect

import "strings"

// compatible is an engine that speaks another one's protocol and has limits of its own.
// None of these has been run against usher's tests: where a lock is in doubt, usher writes.
type compatible struct {
	mark     string // in the version string or its comment
	engine   string
	dialect  Dialect
	strategy Strategy
	why      string
}

// compatibles is searched in order: the most specific name comes first.
var compatibles = []compatible{
	{"CockroachDB", "CockroachDB", postgres{}, Strategy{ForUpdate, true}, "its SKIP LOCKED depends on version and isolation"},
	{"-YB-", "YugabyteDB", postgres{}, Strategy{ForUpdate, true}, "its SKIP LOCKED depends on isolation"},
	{"TiDB", "TiDB", mysql{}, Strategy{ForUpdate, true}, "it parses SKIP LOCKED and takes no lock"},
	{"PlanetScale", "PlanetScale", mysql{}, Strategy{ForUpdate, true}, "its locks are local to a shard"},
	{"Vitess", "Vitess", mysql{}, Strategy{ForUpdate, true}, "its locks are local to a shard"},
	{"OceanBase", "OceanBase", mysql{}, Strategy{ForUpdate, true}, "its SKIP LOCKED is untested"},
	{"SingleStore", "SingleStore", mysql{}, Strategy{NoLock, true}, "its locks are untested"},
	{"MemSQL", "SingleStore", mysql{}, Strategy{NoLock, true}, "its locks are untested"},
	{"Dolt", "Dolt", mysql{}, Strategy{NoLock, true}, "it parses SKIP LOCKED and takes no lock"},
}

// compatibleWith finds the compatible engine that a version string betrays.
func compatibleWith(banner string) (compatible, bool) {
	for _, c := range compatibles {
		if strings.Contains(banner, c.mark) {
			return c, true
		}
	}
	if banner == "PostgreSQL 16" { // Aurora DSQL says no more than this
		return compatible{banner, "Aurora DSQL", postgres{}, Strategy{NoLock, true}, "it has no locks and checks at COMMIT"}, true
	}
	return compatible{}, false
}

// version is the engine's own version, which comes after its name, or else the one that it is
// compatible with, which comes before.
func (c compatible) version(banner string) Version {
	_, own, _ := strings.Cut(banner, c.mark)
	if v := parseVersion(own); v != (Version{}) {
		return v
	}
	return parseVersion(banner)
}

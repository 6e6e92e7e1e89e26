package dialect

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is the number of a server's version. The zero value is an unknown one.
type Version struct{ Major, Minor, Patch int }

var versionNumber = regexp.MustCompile(`(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?`)

// parseVersion reads the first number in s that looks like a version.
func parseVersion(s string) Version {
	var v Version
	found := versionNumber.FindStringSubmatch(s)
	for i, part := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if found != nil {
			*part, _ = strconv.Atoi(found[i+1]) // digits only, at most nine of them
		}
	}
	return v
}

// AtLeast reports whether v is the given version or a later one.
func (v Version) AtLeast(major, minor, patch int) bool {
	if v.Major != major {
		return v.Major > major
	}
	if v.Minor != minor {
		return v.Minor > minor
	}
	return v.Patch >= patch
}

// String writes the version as in "10.11.19".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// tooOld is the refusal of a version.
func tooOld(engine string, v Version, least string) error {
	return fmt.Errorf("%w: %s %s is too old, usher needs %s or later", ErrUnsupported, engine, v, least)
}

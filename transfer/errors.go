package transfer

import "errors"

// Errors of [Copy].
var (
	// ErrAlive is returned when schedulers of the source have beaten lately: what they do
	// meanwhile would be missing in the target.
	ErrAlive = errors.New("schedulers are alive on the source")
	// ErrForeign is returned when the target holds rows that are not the source's, or when
	// schedulers have worked on an unfinished copy. Nothing of it was changed.
	ErrForeign = errors.New("the target is neither empty nor an unfinished copy")
	// ErrUnfinished is returned for a source that is an unfinished copy itself.
	ErrUnfinished = errors.New("the source is an unfinished copy")
	// ErrDiffers is returned when in the end the databases are not equal, with the first
	// difference: the source has changed meanwhile, or the target does not keep what it is given.
	ErrDiffers = errors.New("source and target differ")
)

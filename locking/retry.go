package locking

import (
	"context"

	"github.com/usher-go/usher/dialect"
)

// Retry says why [InTx] is about to try a transaction again.
type Retry struct {
	// Attempt is the number of the attempt that failed, from 1.
	Attempt int
	// Class is that of its error; [dialect.Other] for [ErrChanged].
	Class dialect.Class
	// Err is how it failed.
	Err error
}

type retryKey struct{}

// OnRetry returns a context with which [InTx] calls tell before it tries a transaction again. It
// tells whoever the context told before as well. There is no transaction at that moment.
func OnRetry(ctx context.Context, tell func(Retry)) context.Context {
	if before, ok := ctx.Value(retryKey{}).(func(Retry)); ok {
		mine := tell
		tell = func(retry Retry) {
			before(retry)
			mine(retry)
		}
	}
	return context.WithValue(ctx, retryKey{}, tell)
}

// tellRetry tells whoever wants to know.
func tellRetry(ctx context.Context, retry Retry) {
	if tell, ok := ctx.Value(retryKey{}).(func(Retry)); ok {
		tell(retry)
	}
}

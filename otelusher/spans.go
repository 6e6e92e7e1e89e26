package otelusher

import (
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/repo"
)

// endSpan ends the span of a verb.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(errorKey.String(kindOf(err)))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// spanOfPass says what a pass has come to.
func spanOfPass(span trace.Span, p repo.Pass) {
	span.SetAttributes(gatesKey.Int(p.Gates), passedOverKey.Int(p.PassedOver), startedKey.Int(p.Started))
}

// spanOfRetry marks the moment at which a transaction is tried again.
func spanOfRetry(span trace.Span, retry locking.Retry) {
	span.AddEvent("try again", trace.WithAttributes(attemptKey.Int(retry.Attempt), errorKey.String(reason(retry))))
}

package api

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gatehouse/app"
)

// call is one request on its way through huma. As soon as it holds an error
// nothing more of huma's own answer is written: the error leaves through
// web/respond like every other.
type call struct {
	embedded
	actor app.Actor
	err   error
}

// embedded is huma.Context by a name that does not hide its method Context.
type embedded huma.Context

type callKey struct{}

func newCall(op *huma.Operation, w http.ResponseWriter, r *http.Request, actor app.Actor) *call {
	c := &call{actor: actor}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.embedded = humago.NewContext(op, r, w)
	return c
}

// actorOf returns who makes the call that ctx belongs to.
func actorOf(ctx context.Context) app.Actor {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.actor
	}
	return app.Actor{Kind: app.ActorAnonymous}
}

// SetStatus implements huma.Context.
func (c *call) SetStatus(status int) {
	if c.err == nil {
		c.embedded.SetStatus(status)
	}
}

// SetHeader implements huma.Context.
func (c *call) SetHeader(name, value string) {
	if c.err == nil {
		c.embedded.SetHeader(name, value)
	}
}

// AppendHeader implements huma.Context.
func (c *call) AppendHeader(name, value string) {
	if c.err == nil {
		c.embedded.AppendHeader(name, value)
	}
}

// BodyWriter implements huma.Context. An error of writing means that the
// client is gone, which is nobody's fault.
func (c *call) BodyWriter() io.Writer {
	if c.err != nil {
		return io.Discard
	}
	return quiet{c.embedded.BodyWriter()}
}

type quiet struct{ io.Writer }

// Write implements io.Writer.
func (q quiet) Write(p []byte) (int, error) {
	q.Writer.Write(p)
	return len(p), nil
}

package api

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// rawHandler answers a call by itself, because its body or its answer is no
// one JSON document, or too long to be held.
type rawHandler func(w http.ResponseWriter, r *http.Request, actor app.Actor) error

// rawForm describes a raw call for the document.
type rawForm struct {
	query   map[string]string // parameters and what they mean
	accepts map[string]any    // media type of the body, and a value of what it holds; none: no body
	answers map[string]any    // media type of the answer, and a value of what it holds
}

// raw makes the row's mount of a raw handler, behind the same identification
// and permission as the others.
func (x *API) raw(handler rawHandler, form rawForm) func(huma.API, route) {
	return func(to huma.API, rt route) {
		to.OpenAPI().AddOperation(rt.described(to.OpenAPI().Components.Schemas, form))
		x.mux.Handle(rt.method+" "+rt.path, x.Respond.Handle(func(w http.ResponseWriter, r *http.Request) error {
			actor, err := x.identify(r)
			if err != nil {
				return err
			}
			respond.Note(w, actor)
			if err := rt.may.check(actor); err != nil {
				return err
			}
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			return handler(w, r, actor)
		}))
	}
}

func (rt route) described(registry huma.Registry, form rawForm) *huma.Operation {
	op := &huma.Operation{Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary,
		Description: rt.description(), Security: rt.may.security(),
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: media(registry, form.answers)}, "default": problemResponse(registry)}}
	for _, name := range sortedNames(form.query) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Description: form.query[name],
			Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if len(form.accepts) > 0 {
		op.RequestBody = &huma.RequestBody{Required: true, Content: media(registry, form.accepts)}
	}
	return op
}

// media describes bodies; a text is described as text.
func media(registry huma.Registry, values map[string]any) map[string]*huma.MediaType {
	content := map[string]*huma.MediaType{}
	for kind, value := range values {
		schema := &huma.Schema{Type: huma.TypeString}
		if _, text := value.(string); !text {
			schema = registry.Schema(reflect.TypeOf(value), true, "")
		}
		content[kind] = &huma.MediaType{Schema: schema}
	}
	return content
}

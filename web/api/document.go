package api

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// Sections of the document.
const (
	tagOrgs         = "Organizations"
	tagKeys         = "API keys"
	tagOperatorKeys = "Operator's keys"
	tagPlans        = "Plans"
	tagRouting      = "Routes and upstreams"
	tagUsage        = "Usage"
	tagMeters       = "Meters"
	tagQuotas       = "Quotas"
	tagReservations = "Reservations"
	tagRates        = "Rates"
	tagStripe       = "Stripe"
	tagSessions     = "User sessions"
	tagSystem       = "Traffic and system"
	// TagAdmission are the calls that decide about a request without proxying it.
	TagAdmission = "Admission"
)

const (
	schemeOperator     = "operatorKey"
	schemeOrganization = "organizationKey"
)

// maxBody lets huma read what respond.MaxBody allows: it refuses a body of
// exactly its limit.
const maxBody = respond.MaxBody + 1

func configuration() huma.Config {
	config := huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Gatehouse", Version: "1",
			Description: "The management API of Gatehouse. Errors are problem+json (RFC 9457) with a stable `code`. " +
				"Lists are paged by `cursor` and `limit`. Times are RFC 3339 in UTC, money is a decimal string in US dollars, " +
				"durations are text such as `90s`, `1h` or `30d`.",
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}},
		Servers: []*huma.Server{{URL: "/", Description: "The console's address"}},
		Tags: []*huma.Tag{{Name: tagOrgs}, {Name: tagKeys}, {Name: tagOperatorKeys}, {Name: tagPlans}, {Name: tagRouting},
			{Name: tagUsage}, {Name: tagMeters}, {Name: tagQuotas}, {Name: tagReservations}, {Name: tagRates}, {Name: tagStripe}, {Name: tagSessions}, {Name: tagSystem}, {Name: TagAdmission}},
		Components: &huma.Components{
			Schemas: schemas(),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				schemeOperator:     {Type: "http", Scheme: "bearer", Description: "An operator's key: ga_live_…"},
				schemeOrganization: {Type: "http", Scheme: "bearer", Description: "An organization's key: gk_live_… or gk_test_…"},
			},
		},
	}}
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.DefaultFormat = "application/json"
	return config
}

// schemas is the registry, in which the ground's types that write themselves
// as text are described as text.
func schemas() huma.Registry {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[app.Money](), reflect.TypeFor[moneyText]())
	registry.RegisterTypeAlias(reflect.TypeFor[app.Duration](), reflect.TypeFor[durationText]())
	return registry
}

type moneyText string

// Schema implements huma.SchemaProvider.
func (moneyText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: `^-?[0-9]{1,12}(\.[0-9]{1,6})?$`,
		PatternDescription: `an amount in US dollars such as "49" or "0.05"`}
}

type durationText string

// Schema implements huma.SchemaProvider.
func (durationText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: `^([0-9]{1,5}d|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+|0)$`,
		PatternDescription: `a duration such as "90s", "1h" or "30d"`}
}

// Described is a call that another surface serves, for the document.
type Described struct {
	Method, Path, ID, Tag string
	Summary, About        string
	Public                bool // not called with an operator's key
	Request               any  // a value of the body's type; nil: no body
	Answer                any  // of the answer's type; nil: no body
	AnswerHeaders         map[string]string
}

func (d Described) add(to huma.API) {
	registry := to.OpenAPI().Components.Schemas
	op := &huma.Operation{Method: d.Method, Path: d.Path, OperationID: d.ID, Tags: []string{d.Tag}, Summary: d.Summary,
		Description: d.About, Responses: map[string]*huma.Response{"200": {Description: "OK"}, "default": problemResponse(registry)}}
	if !d.Public {
		op.Security = []map[string][]string{{schemeOperator: {}}}
	}
	if d.Request != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: jsonOf(registry, d.Request)}
	}
	if d.Answer != nil {
		op.Responses["200"].Content = jsonOf(registry, d.Answer)
	}
	for name, about := range d.AnswerHeaders {
		if op.Responses["200"].Headers == nil {
			op.Responses["200"].Headers = map[string]*huma.Param{}
		}
		op.Responses["200"].Headers[name] = &huma.Param{Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	to.OpenAPI().AddOperation(op)
}

func jsonOf(registry huma.Registry, value any) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(reflect.TypeOf(value), true, "")}}
}

func problemResponse(registry huma.Registry) *huma.Response {
	return &huma.Response{Description: aboutProblems, Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: registry.Schema(reflect.TypeFor[Problem](), true, "")}}}
}

const aboutProblems = "A refusal or a failure"

func indented(compact []byte) []byte {
	var out bytes.Buffer
	json.Indent(&out, compact, "", "  ") // it was written by json.Marshal
	return out.Bytes()
}

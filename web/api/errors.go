package api

import (
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// Problem is the form of every error, for the OpenAPI document alone:
// web/respond writes it.
type Problem struct {
	Type      string           `json:"type" doc:"URN of the code: urn:gatehouse:error:CODE"`
	Title     string           `json:"title" doc:"The code in words"`
	Status    int              `json:"status" doc:"The HTTP status"`
	Detail    string           `json:"detail" doc:"What is wrong and why, in one sentence"`
	Code      string           `json:"code" doc:"Stable and machine-readable; the manual's page on errors lists them"`
	Advice    string           `json:"advice,omitempty" doc:"What to do about it"`
	RequestID string           `json:"request_id" doc:"Names this request in the logs"`
	Limit     *app.LimitDetail `json:"limit,omitempty" doc:"Which limit refused, and when it lets one pass"`
	Quota     *app.QuotaDetail `json:"quota,omitempty" doc:"Which quota refused, and when it lets something pass again"`
	Errors    []app.FieldError `json:"errors,omitempty" doc:"What is wrong field by field"`
	status    int
}

// Error implements huma.StatusError.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// formOnce guards huma's package variables: they can only be set for the
// whole process, so they are set once, to functions without state.
var formOnce sync.Once

// useOurForm makes huma hand every error to the call that it belongs to
// instead of writing it, and describe ours in the document.
func useOurForm() {
	formOnce.Do(func() {
		huma.DefaultArrayNullable = false
		huma.NewError = func(status int, _ string, _ ...error) huma.StatusError { return &Problem{status: status} }
		huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, causes ...error) huma.StatusError {
			if c, ours := ctx.(*call); ours {
				c.err = translate(status, message, causes)
			}
			return &Problem{status: status}
		}
	})
}

// translate turns what huma found, or what a handler returned, into one of our
// errors.
func translate(status int, message string, causes []error) error {
	switch status {
	case http.StatusInternalServerError:
		if len(causes) > 0 {
			return causes[0]
		}
	case http.StatusRequestEntityTooLarge:
		return respond.TooLarge(respond.MaxBody)
	case http.StatusUnsupportedMediaType:
		return &app.Error{Kind: app.KindInvalid, Code: respond.CodeUnsupportedMediaType,
			Message: "The body must be application/json.", Advice: "Set Content-Type: application/json."}
	case http.StatusRequestTimeout:
		return &app.Error{Kind: app.KindInvalid, Code: respond.CodeBodyTimeout,
			Message: "The body did not arrive in time.", Advice: "Send it again."}
	}
	fields := make([]app.FieldError, 0, len(causes))
	for _, cause := range causes {
		fields = append(fields, fieldError(cause))
	}
	if len(fields) == 0 {
		return app.Invalid("body", "%s", strings.TrimPrefix(message, "request body "))
	}
	return app.InvalidFields(fields)
}

var (
	missingPattern = regexp.MustCompile(`^expected required property (\S+) to be present$`)
	placePattern   = regexp.MustCompile(`^(body|query|path|header)(\.|$)`)
)

// wordings turn huma's messages into the manual's tone. The first that fits is used.
var wordings = []struct{ from, to string }{
	{"unexpected property", "is not a known field"},
	{"unknown query parameter", "is not a known parameter"},
	{"expected value to be one of", "must be one of"},
	{"expected string to be RFC 3339 date-time", "must be a time such as 2026-11-24T08:00:00Z"},
	{"expected string to be ", "must be "},
	{"expected string to match pattern", "must match the pattern"},
	{"expected string", "must be a string"},
	{"expected integer", "must be a whole number"},
	{"expected number >= ", "must be at least "},
	{"expected number <= ", "must be at most "},
	{"expected number", "must be a number"},
	{"expected boolean", "must be true or false"},
	{"expected array length >= ", "must have a length of at least "},
	{"expected array length <= ", "must have a length of at most "},
	{"expected array items to be unique", "must not repeat itself"},
	{"expected array", "must be a list"},
	{"expected object", "must be an object"},
	{"expected length >= ", "must have a length of at least "},
	{"expected length <= ", "must have a length of at most "},
	{"invalid character", "is not JSON: invalid character"},
	{"unexpected end of JSON input", "ends in the middle of its JSON document"},
}

// fieldError names the field as the caller wrote it, without "body." before it.
func fieldError(cause error) app.FieldError {
	place, message := "body", cause.Error()
	if detailed, ok := cause.(huma.ErrorDetailer); ok {
		detail := detailed.ErrorDetail()
		place, message = detail.Location, detail.Message
	}
	if missing := missingPattern.FindStringSubmatch(message); missing != nil {
		place, message = place+"."+missing[1], "is required"
	}
	for _, w := range wordings {
		if rest, found := strings.CutPrefix(message, w.from); found {
			message = w.to + rest
			break
		}
	}
	if short := placePattern.ReplaceAllString(place, ""); short != "" {
		place = short
	}
	return app.FieldError{Field: place, Message: message}
}

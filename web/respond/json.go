package respond

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/app"
)

// MaxBody bounds a JSON document that comes from outside, in bytes.
const MaxBody = 1 << 20

var jsonType = []string{"application/json"}

// JSON answers with v as JSON.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	header := w.Header()
	header["Content-Type"] = jsonType
	header["X-Content-Type-Options"] = noSniff
	if header["Cache-Control"] == nil {
		header["Cache-Control"] = noStore
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // an error here means that the client is gone
	return nil
}

// ReadJSON reads one JSON document of at most MaxBody bytes into v. A field
// that v does not know, a wrong type or a second document is an app.Error.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || !isJSON(media) {
			return &app.Error{Kind: app.KindInvalid, Code: CodeUnsupportedMediaType,
				Message: "The body must be application/json.", Advice: "Set Content-Type: application/json."}
		}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return DecodeError(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return app.Invalid("body", "must hold one JSON document and nothing after it")
	}
	return nil
}

func isJSON(media string) bool {
	return media == "application/json" || (strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

// DecodeError turns an error of encoding/json or of reading the body into one
// that names the field.
func DecodeError(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &tooLarge):
		return TooLarge(tooLarge.Limit)
	case errors.As(err, &wrongType):
		field := wrongType.Field
		if field == "" {
			field = "body"
		}
		return app.Invalid(field, "must be %s, not %s", wrongType.Type, wrongType.Value)
	case errors.As(err, &syntax):
		return app.Invalid("body", "is not JSON: at byte %d, %s", syntax.Offset, syntax.Error())
	case errors.Is(err, io.EOF):
		return app.Invalid("body", "must hold a JSON document")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return app.Invalid("body", "ends in the middle of its JSON document")
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return app.Invalid(strings.Trim(name, `"`), "is not a known field")
	}
	return app.Invalid("body", "%s", strings.TrimPrefix(err.Error(), "json: "))
}

// TooLarge is the error for a body beyond limit bytes.
func TooLarge(limit int64) *app.Error {
	return &app.Error{Kind: app.KindTooLarge, Code: "body_too_large",
		Message: "The body is larger than " + strconv.FormatInt(limit, 10) + " bytes."}
}

func appendMember(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return appendString(b, value)
}

func appendNumber(b []byte, name string, value int64) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, value, 10)
}

const hexDigits = "0123456789abcdef"

// appendString appends text as a JSON string that is also harmless in HTML.
func appendString(b []byte, text string) []byte {
	b = append(b, '"')
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			b = utf8.AppendRune(b, r) // U+FFFD for what is not UTF-8
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}

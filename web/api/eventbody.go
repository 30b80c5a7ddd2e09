package api

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// plainEvent is an event as it comes: a CloudEvent in JSON, or less.
type plainEvent struct {
	SpecVersion string          `json:"specversion,omitempty" doc:"1.0, of a CloudEvent"`
	ID          string          `json:"id" doc:"Unique within the source"`
	Source      string          `json:"source,omitempty" doc:"Which part of the app tells"`
	Type        string          `json:"type" doc:"What happened; meters read events by their type"`
	Subject     string          `json:"subject,omitempty" doc:"The organization, by id or slug, unless org names it; for an operator's key"`
	Time        string          `json:"time,omitempty" doc:"When it happened; now by default" format:"date-time"`
	Org         string          `json:"org,omitempty" doc:"The organization, by id or slug"`
	Key         string          `json:"key,omitempty" doc:"The id of the organization's key that it belongs to"`
	Data        json.RawMessage `json:"data,omitempty" doc:"An object whose properties meters read"`
}

// readEvent is an event with what is wrong with it, if anything.
type readEvent struct {
	plainEvent
	at     time.Time
	reason string
}

// hash tells events of one id apart: it is of all that the event says, and not
// of blanks, nor of how it names its organization, which is part of the id.
func (e *readEvent) hash() (short [8]byte) {
	subject := ""
	if e.Org != "" { // else it may be the organization
		subject = e.Subject
	}
	var text []byte
	for _, part := range []string{e.Type, e.Time, subject, e.Key} {
		text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
	}
	var tight bytes.Buffer
	if len(e.Data) > 0 && json.Compact(&tight, e.Data) == nil {
		text = append(text, tight.Bytes()...)
	}
	sum := sha256.Sum256(text)
	copy(short[:], sum[:])
	return short
}

// check says what is wrong with an event by itself.
func (e *readEvent) check() {
	switch {
	case e.reason != "":
	case e.SpecVersion != "" && e.SpecVersion != "1.0":
		e.reason = "specversion must be 1.0"
	case e.ID == "":
		e.reason = "id must be set"
	case e.Type == "":
		e.reason = "type must be set"
	case len(e.Key) > 100:
		e.reason = "key must be the id of a key"
	case len(e.Data) > 0 && string(e.Data) != "null" && e.Data[0] != '{':
		e.reason = "data must be a JSON object"
	default:
		e.at, e.reason = parseTime(e.Time)
	}
}

// readEvents reads the call's events. An event that is wrong by itself has a
// reason; a body that cannot be read is an error, and nothing of it counts.
func readEvents(w http.ResponseWriter, r *http.Request) (list []readEvent, single bool, err error) {
	body, err := eventsBody(w, r)
	if err != nil {
		return nil, false, err
	}
	media, _, err := mime.ParseMediaType(orDefault(r.Header.Get("Content-Type"), "application/json"))
	if err != nil {
		return nil, false, errEventMedia()
	}
	if attributes, binary := binaryEvent(r.Header); binary {
		e := readEvent{plainEvent: attributes}
		if strings.HasSuffix(media, "json") {
			e.Data = body
			if len(body) > 0 && !json.Valid(body) {
				return nil, false, app.Invalid("body", "is not valid JSON")
			}
		}
		list, single = []readEvent{e}, true
	} else if list, single, err = decodeEvents(body, media); err != nil {
		return nil, false, err
	}
	for i := range list {
		list[i].check()
	}
	return list, single, nil
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func errEventMedia() error {
	return &app.Error{Kind: app.KindInvalid, Code: respond.CodeUnsupportedMediaType, Message: "The body must be events in JSON.",
		Advice: "Set Content-Type to application/json, application/cloudevents+json or application/cloudevents-batch+json."}
}

// eventsBody reads the whole body, which may be compressed.
func eventsBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var from io.Reader = http.MaxBytesReader(w, r.Body, maxEventsBody)
	switch coding := strings.ToLower(r.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip":
		unzip, err := gzip.NewReader(from)
		if err != nil {
			return nil, app.Invalid("body", "is not gzip, as Content-Encoding says")
		}
		from = unzip
	default:
		return nil, app.Invalid("Content-Encoding", "must be gzip or left out")
	}
	connection := http.NewResponseController(w)
	// Not every writer has a connection; then nothing is slow either.
	_ = connection.SetReadDeadline(time.Now().Add(eventsTimeout))
	body, err := io.ReadAll(io.LimitReader(from, maxEventsBody+1))
	_ = connection.SetReadDeadline(time.Time{})
	var (
		tooLarge *http.MaxBytesError
		corrupt  flate.CorruptInputError
	)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &app.Error{Kind: app.KindInvalid, Code: respond.CodeBodyTimeout,
			Message: "The body did not arrive in time.", Advice: "Send it again, in smaller parts."}
	case errors.As(err, &tooLarge) || len(body) > maxEventsBody:
		return nil, respond.TooLarge(maxEventsBody)
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, app.Invalid("body", "is cut or damaged")
	}
	return body, err
}

// decodeEvents reads an object, or an array of them.
func decodeEvents(body []byte, media string) (list []readEvent, single bool, err error) {
	if media != "application/json" && media != "application/cloudevents+json" && !isEventBatch(media) {
		return nil, false, errEventMedia()
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	array := len(trimmed) > 0 && trimmed[0] == '['
	if !array && isEventBatch(media) || array && media == "application/cloudevents+json" {
		return nil, false, app.Invalid("body", "must be an array for a batch, and an object for one event")
	}
	if !array {
		e, err := decodeEvent(decoder)
		if err == nil && decoder.More() {
			err = app.Invalid("body", "must hold one JSON document and nothing after it")
		}
		return []readEvent{e}, true, err
	}
	if json.Valid(body) {
		if list, err = scanEvents(body); err == nil && len(list) == 0 {
			err = errNoEvents()
		}
		return list, false, err
	}
	return decodeArray(decoder)
}

// decodeArray reads an array in which something is no JSON, and says what.
func decodeArray(decoder *json.Decoder) (list []readEvent, single bool, err error) {
	if _, err := decoder.Token(); err != nil {
		return nil, false, respond.DecodeError(err)
	}
	for decoder.More() {
		if len(list) == maxEvents {
			return nil, false, errManyEvents()
		}
		e, err := decodeEvent(decoder)
		if err != nil {
			return nil, false, err
		}
		list = append(list, e)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, false, respond.DecodeError(err)
	}
	if len(list) == 0 {
		return nil, false, errNoEvents()
	}
	return list, false, nil
}

func errNoEvents() error { return app.Invalid("body", "must hold an event") }

func errManyEvents() error { return app.Invalid("body", "must hold at most %d events", maxEvents) }

// decodeEvent reads the next value; one that is no event has a reason.
func decodeEvent(decoder *json.Decoder) (e readEvent, err error) {
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return e, respond.DecodeError(err)
	}
	return readOne(raw), nil
}

// readOne reads one event as encoding/json does; one that is none has a reason.
func readOne(raw []byte) (e readEvent) {
	if len(raw) > maxEventLength {
		e.reason = fmt.Sprintf("an event may have at most %d bytes", maxEventLength)
		return e
	}
	if err := json.Unmarshal(raw, &e.plainEvent); err != nil {
		e.reason = "it is no event: " + app.AsError(respond.DecodeError(err)).Message
	}
	return e
}

package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// Bounds of one call that reports events.
const (
	maxEvents      = 10_000
	maxEventsBody  = 10 << 20 // bytes, before and after decompression
	maxEventLength = 64 << 10 // bytes of one event

	// eventsTimeout is how long a body may take: 10 MB at 350 KB/s.
	eventsTimeout = 30 * time.Second
)

const aboutEvents = "CloudEvents 1.0: one (`application/cloudevents+json`, or binary with `ce-` headers), a batch " +
	"(`application/cloudevents-batch+json`), or plain JSON: an object, or an array of at most 10,000, with `id`, `type` and what else " +
	"an event has. An operator's key names the organization in `org` or `subject`, by id or slug. The answer comes when what was " +
	"accepted is durable. An event is known by organization, source and id for 35 days: the same again is a `duplicate` and counted once, " +
	"so send again whatever was not answered. The same id with another body is a `conflict`."

const aboutImport = "As `POST /v1/events`, for events of any age: a backfill. Each import is logged with who did it."

// Events counts what the operator's app reports; metering.Events does.
type Events interface {
	Record(ctx context.Context, list []app.Event) ([]app.EventResult, error)
}

// EventReader reads what meters count of an event; metering.Meters does.
type EventReader interface {
	Read(kind string, data []byte) (uses []app.Use, reason string)
}

// EventAnswer says what became of one event.
type EventAnswer struct {
	ID     string           `json:"id" doc:"The event's id"`
	Status app.EventVerdict `json:"status" enum:"accepted,duplicate,conflict,too_old,rejected" doc:"What became of it"`
	Reason string           `json:"reason,omitempty" doc:"Why it is not counted"`
}

// EventsAnswer answers a call that reports events.
type EventsAnswer struct {
	Results   []EventAnswer `json:"results" doc:"One for each event, in their order"`
	Accepted  int           `json:"accepted"`
	Duplicate int           `json:"duplicate"`
	Conflict  int           `json:"conflict"`
	TooOld    int           `json:"too_old"`
	Rejected  int           `json:"rejected"`
}

func (x *API) eventsMount(imported bool) rawHandler {
	return func(w http.ResponseWriter, r *http.Request, actor app.Actor) error {
		return x.postEvents(w, r, actor, imported)
	}
}

var eventsForm = rawForm{
	accepts: map[string]any{"application/json": []plainEvent{}, "application/cloudevents+json": plainEvent{}, "application/cloudevents-batch+json": []plainEvent{}},
	answers: map[string]any{"application/json": EventsAnswer{}},
}

func (x *API) postEvents(w http.ResponseWriter, r *http.Request, actor app.Actor, imported bool) error {
	read, single, err := readEvents(w, r)
	if err != nil {
		return err
	}
	results, err := x.record(r.Context(), actor, read, imported)
	if err != nil {
		return err
	}
	answer := eventsAnswer(read, results)
	if imported {
		x.Respond.Log.InfoContext(r.Context(), "events imported", "actor", actor.String(), "events", len(read), "accepted", answer.Accepted,
			"duplicate", answer.Duplicate, "conflict", answer.Conflict, "rejected", answer.Rejected)
	}
	if single {
		if refused := refusedEvent(answer.Results[0]); refused != nil {
			return refused
		}
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// record counts what can be counted; of the rest the reader has said why not.
func (x *API) record(ctx context.Context, actor app.Actor, read []readEvent, imported bool) ([]app.EventResult, error) {
	results := make([]app.EventResult, len(read))
	names := eventOrgs{x: x, actor: actor, known: map[string]app.OrgID{}}
	var (
		list []app.Event
		at   []int
	)
	for i := range read {
		ev, reason, err := x.event(ctx, &names, &read[i], imported)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			results[i] = app.EventResult{Verdict: app.EventRejected, Reason: reason}
			continue
		}
		list, at = append(list, ev), append(at, i)
	}
	recorded, err := x.Events.Record(ctx, list)
	for i, result := range recorded {
		results[at[i]] = result
	}
	return results, err
}

// event is what was read, as it is counted.
func (x *API) event(ctx context.Context, names *eventOrgs, in *readEvent, imported bool) (ev app.Event, reason string, err error) {
	if in.reason != "" {
		return ev, in.reason, nil
	}
	ev = app.Event{Source: in.Source, ID: in.ID, Type: in.Type, Time: in.at, Body: in.hash(), Import: imported}
	if ev.Time.IsZero() {
		ev.Time = x.Now()
	}
	if ev.Org, reason, err = names.find(ctx, in); reason != "" || err != nil {
		return ev, reason, err
	}
	if ev.Key = app.KeyID(in.Key); ev.Key == "" {
		ev.Key = names.ownKey()
	}
	ev.Uses, reason = x.EventReader.Read(in.Type, in.Data)
	return ev, reason, nil
}

// eventOrgs finds the organizations of a call's events, each once.
type eventOrgs struct {
	x     *API
	actor app.Actor
	known map[string]app.OrgID // "" is one that is not there
}

const noSuchOrg = "there is no such organization"

// find is whose event it is: of an organization's key its own, whatever the
// subject says; an operator names it.
func (o *eventOrgs) find(ctx context.Context, in *readEvent) (id app.OrgID, reason string, err error) {
	name := in.Org
	if own := o.actor.OrgID; own != "" {
		if name == "" {
			return own, "", nil
		}
		if id, err = o.look(ctx, name); err == nil && id != own {
			reason = noSuchOrg
		}
		return own, reason, err
	}
	if name == "" {
		name = in.Subject
	}
	if name == "" {
		return "", "org (or subject) must name the organization", nil
	}
	if id, err = o.look(ctx, name); err == nil && id == "" {
		reason = noSuchOrg
	}
	return id, reason, err
}

func (o *eventOrgs) look(ctx context.Context, name string) (app.OrgID, error) {
	if id, known := o.known[name]; known {
		return id, nil
	}
	id, err := o.x.org(ctx, name)
	if app.IsKind(err, app.KindNotFound) {
		id, err = "", nil
	}
	if err == nil {
		o.known[name] = id
	}
	return id, err
}

func (o *eventOrgs) ownKey() app.KeyID {
	if o.actor.OrgID != "" {
		return o.actor.KeyID
	}
	return ""
}

func eventsAnswer(read []readEvent, results []app.EventResult) EventsAnswer {
	a := EventsAnswer{Results: make([]EventAnswer, len(read))}
	for i, result := range results {
		a.Results[i] = EventAnswer{read[i].ID, result.Verdict, result.Reason}
		switch result.Verdict {
		case app.EventAccepted:
			a.Accepted++
		case app.EventDuplicate:
			a.Duplicate++
		case app.EventConflict:
			a.Conflict++
		case app.EventTooOld:
			a.TooOld++
		default:
			a.Rejected++
		}
	}
	return a
}

// refusedEvent is the answer to a single event that is not counted.
func refusedEvent(a EventAnswer) error {
	refusal := &app.Error{Kind: app.KindInvalid, Message: "The event is not counted: " + a.Reason + ".", Advice: "Correct the event and send it again."}
	switch a.Status {
	case app.EventConflict:
		refusal.Kind, refusal.Code, refusal.Advice = app.KindConflict, "event_conflict", "Give each occurrence an id of its own."
	case app.EventTooOld:
		refusal.Code, refusal.Advice = "event_too_old", "Import it with POST /v1/events/import."
	case app.EventRejected:
		refusal.Code = "event_rejected"
	default:
		return nil
	}
	return refusal
}

// binaryEvent reads an event whose attributes are headers and whose body is its
// data.
func binaryEvent(h http.Header) (plainEvent, bool) {
	if h.Get("Ce-Specversion") == "" && h.Get("Ce-Id") == "" {
		return plainEvent{}, false
	}
	return plainEvent{SpecVersion: h.Get("Ce-Specversion"), ID: h.Get("Ce-Id"), Source: h.Get("Ce-Source"), Type: h.Get("Ce-Type"),
		Subject: h.Get("Ce-Subject"), Time: h.Get("Ce-Time"), Org: h.Get("Ce-Org"), Key: h.Get("Ce-Key")}, true
}

// parseTime reads an event's time; empty is that of its arrival.
func parseTime(text string) (time.Time, string) {
	if text == "" {
		return time.Time{}, ""
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, "time must look like 2026-11-24T12:00:00Z"
	}
	return at.UTC(), ""
}

func isEventBatch(media string) bool {
	return strings.EqualFold(media, "application/cloudevents-batch+json")
}

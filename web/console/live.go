package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// The stream: once a second each followed topic is rendered, and the parts of
// it that changed are sent. Topics are "gate", "overview.RANGE", "near",
// "start", "org.ID", "traffic", "upstream.NAME" and "system".
const (
	feedEvery  = time.Second
	feedFresh  = 900 * time.Millisecond // one rendering serves all streams of a second
	feedWrite  = 10 * time.Second       // a stream that takes nothing for so long is dropped
	feedCheck  = 15 * time.Second       // how often a stream asks whether its session still holds
	maxTopics  = 32
	maxStreams = 64 // of the node: a browser uses one, whatever the number of its tabs
)

// parts are the pieces of one topic, rendered: name → HTML.
type parts map[string]string

// feed renders topics at most once a second, however many streams follow them.
type feed struct {
	site *site
	mu   sync.Mutex
	made map[string]rendered
	open int
}

type rendered struct {
	at    time.Time
	parts parts
}

func newFeed(s *site) *feed { return &feed{site: s, made: map[string]rendered{}} }

// enter takes a place for a stream.
func (f *feed) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open >= maxStreams {
		return false
	}
	f.open++
	return true
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	if f.open == 0 {
		clear(f.made)
	}
}

// parts returns the topic as it is now for a viewer in the time zone.
func (f *feed) parts(ctx context.Context, v *visit, topic string) (parts, error) {
	now := f.site.Now()
	key := v.zone.String() + " " + topic
	f.mu.Lock()
	known, ok := f.made[key]
	f.mu.Unlock()
	if ok && now.Sub(known.at) < feedFresh {
		return known.parts, nil
	}
	made, err := f.render(ctx, v, topic)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.made) >= maxStreams*maxTopics {
		clear(f.made)
	}
	f.made[key] = rendered{at: now, parts: made}
	return made, nil
}

// render makes the topic's parts; an unknown topic has none.
func (f *feed) render(ctx context.Context, v *visit, topic string) (parts, error) {
	kind, id, _ := strings.Cut(topic, ".")
	var made map[string]templ.Component
	var err error
	switch kind {
	case "gate":
		made = map[string]templ.Component{"foot": ui.GateFoot(f.site.gate(ctx))}
	case "overview":
		made, err = f.site.overviewParts(ctx, v, id)
	case "near":
		made, err = f.site.nearParts(ctx, v)
	case "start":
		made, err = f.site.startParts(ctx, v)
	case "org":
		made, err = f.site.orgParts(ctx, v, app.OrgID(id))
	case "traffic":
		made, err = f.site.trafficParts(ctx, v)
	case "upstream":
		made, err = f.site.upstreamParts(ctx, v, id)
	case "system":
		made = f.site.systemParts(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	out := parts{}
	for name, component := range made {
		var html bytes.Buffer
		if err := component.Render(ctx, &html); err != nil {
			return nil, err
		}
		out[name] = html.String()
	}
	return out, nil
}

// events is the stream of one browser.
func (s *site) events(v *visit) error {
	if err := s.recognize(v); err != nil {
		return err
	}
	stream := &stream{site: s, visit: v, out: http.NewResponseController(v.w), sent: map[string]string{}}
	if !v.signedIn() {
		stream.head()
		stream.event("bye", "{}") // the page then asks for itself, and is sent to sign in
		return nil
	}
	if !s.feed.enter() {
		return &app.Error{Kind: app.KindUnavailable, Code: "too_many_streams", Message: "Too many browsers follow this node already.", RetryAfter: time.Minute}
	}
	defer s.feed.leave()
	stream.head()
	stream.run(v.r.Context(), topicsOf(v.r.URL.Query().Get("topics")))
	return nil
}

func topicsOf(list string) []string {
	topics := strings.Split(list, ",")
	return topics[:min(len(topics), maxTopics)]
}

type stream struct {
	site  *site
	visit *visit
	out   *http.ResponseController
	sent  map[string]string // what the browser has of each part
	id    int64
}

func (t *stream) head() {
	header := t.visit.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx: pass on at once
	t.visit.w.WriteHeader(http.StatusOK)
}

// run sends until the browser leaves, its session ends, or the server stops.
func (t *stream) run(ctx context.Context, topics []string) {
	ticker := time.NewTicker(feedEvery)
	defer ticker.Stop()
	checked := t.site.Now()
	for {
		if err := t.round(ctx, topics); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := t.site.Now(); now.Sub(checked) >= feedCheck {
			checked = now
			if !t.site.stillSignedIn(t.visit) {
				t.event("bye", "{}") // an error here means that the browser left as well
				return
			}
		}
	}
}

// round sends what changed of every topic, then a beat. A topic that cannot be
// rendered now stays as it was: without a beat the page says that it is stale.
func (t *stream) round(ctx context.Context, topics []string) error {
	for _, topic := range topics {
		made, err := t.site.feed.parts(ctx, t.visit, topic)
		if err != nil {
			if errors.Is(err, context.Canceled) || app.IsKind(err, app.KindNotFound) {
				continue
			}
			t.site.Log.Warn("a live part could not be made", "topic", topic, "error", err)
			return nil
		}
		if err := t.send(topic, made); err != nil {
			return err
		}
	}
	return t.event("beat", fmt.Sprintf(`{"at":%d}`, t.site.Now().UnixMilli()))
}

func (t *stream) send(topic string, made parts) error {
	changed := parts{}
	for name, html := range made {
		if at := topic + "/" + name; t.sent[at] != html {
			t.sent[at] = html
			changed[name] = html
		}
	}
	if len(changed) == 0 {
		return nil
	}
	data, err := json.Marshal(struct {
		Topic string `json:"topic"`
		Parts parts  `json:"parts"`
	}{topic, changed})
	if err != nil {
		return err
	}
	return t.event("parts", string(data))
}

// event writes one event and pushes it out.
func (t *stream) event(name, data string) error {
	t.id++
	t.out.SetWriteDeadline(t.site.Now().Add(feedWrite)) // not supported: then there is none
	if _, err := fmt.Fprintf(t.visit.w, "id: %d\nevent: %s\ndata: %s\n\n", t.id, name, data); err != nil {
		return err
	}
	return t.out.Flush()
}

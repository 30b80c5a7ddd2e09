package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/web/gateway/clientaddr"
	"gatehouse/web/respond"
)

// ScopeCheck is what an operator's key needs for POST /v1/check.
const ScopeCheck = "check"

// maxCheckBody bounds the body of a check, in bytes.
const maxCheckBody = 64 << 10

// CheckRequest asks whether a request may pass, from the app's own code.
type CheckRequest struct {
	Key     string `json:"key" doc:"The API key, JWT or session of the caller"`
	Method  string `json:"method,omitempty" doc:"Method, to find the route; GET by default"`
	Host    string `json:"host,omitempty" doc:"Host, to find the route"`
	Path    string `json:"path,omitempty" doc:"Path, to find the route; / by default"`
	Address string `json:"address,omitempty" doc:"The caller's IP address, for allow-lists"`
	Amount  int64  `json:"amount,omitempty" minimum:"1" maximum:"1000000000000" doc:"Units to take and count; of requests the route's weight by default (at most 1,000,000), of other meters 1"`
	Meter   string `json:"meter,omitempty" doc:"What is counted; requests by default"`
}

// CheckAnswer says whether it may, and who it is from.
type CheckAnswer struct {
	Allowed    bool             `json:"allowed"`
	Status     int              `json:"status" doc:"The HTTP status that the gateway would answer with"`
	Code       string           `json:"code,omitempty" doc:"Why not, such as rate_limited"`
	Detail     string           `json:"detail,omitempty" doc:"The same for people"`
	RetryAfter int64            `json:"retry_after_seconds,omitempty"`
	Quota      *app.QuotaDetail `json:"quota,omitempty" doc:"Which quota is exhausted"`
	Org        app.OrgID        `json:"org_id,omitempty"`
	OrgSlug    string           `json:"org_slug,omitempty"`
	OrgPlan    string           `json:"org_plan,omitempty"`
	KeyID      app.KeyID        `json:"key_id,omitempty"`
	Actor      string           `json:"actor,omitempty"`
	Scopes     []string         `json:"scopes,omitempty"`
	Limits     []CheckLimit     `json:"limits,omitempty"`
	RequestID  string           `json:"request_id"`
}

// CheckLimit is what is left of one rate limit.
type CheckLimit struct {
	Name         string `json:"name"`
	Limit        int64  `json:"limit"`
	WindowSec    int64  `json:"window_seconds"`
	Remaining    int64  `json:"remaining"`
	ResetSeconds int64  `json:"reset_seconds"`
}

// Check answers POST /v1/check: 200 with the decision, whichever it is; an
// error only when the question itself is wrong or nobody may ask it. An
// allowed check is counted before the answer, like a request.
func (g *Gateway) Check(w http.ResponseWriter, r *http.Request) error {
	x := newExchange(g, w, r)
	defer x.leave()
	x.requestID = respond.AssignRequestID(w, r)
	if err := g.mayCheck(r, x.start); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxCheckBody)
	question, err := readCheck(w, r)
	if err != nil {
		return err
	}
	err = g.check(x, question)
	known := app.AsError(err)
	if known != nil && (known.Kind == app.KindInternal || known.Kind == app.KindUnavailable || known.Kind == app.KindInvalid) {
		return err
	}
	g.observeCheck(x, known)
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Cache-Control"] = []string{"no-store"}
	return json.NewEncoder(w).Encode(x.checkAnswer(known))
}

func readCheck(w http.ResponseWriter, r *http.Request) (q CheckRequest, err error) {
	if err := respond.ReadJSON(w, r, &q); err != nil {
		return q, err
	}
	switch {
	case q.Key == "":
		return q, app.Invalid("key", "must be the caller's API key, JWT or session")
	case q.Amount < 0 || q.Amount > q.most():
		return q, app.Invalid("amount", "must be between 1 and %d", q.most())
	}
	return q, nil
}

// mayCheck wants an operator's key with the scope.
func (g *Gateway) mayCheck(r *http.Request, now time.Time) error {
	got := find(r.Header, authModes{key: true})
	hash, ok := keys.Parse(got.secret)
	if got.mode != app.AuthKey || !ok {
		return &app.Error{Kind: app.KindUnauthenticated, Code: "credential_missing", Message: "This call wants an operator's API key.",
			Advice: "Create one with `gatehouse key create --operator --scope check --name app`."}
	}
	key, operator, err := g.operatorKey(r.Context(), hash)
	if err != nil {
		return err
	}
	if !operator {
		return errScopeMissing(ScopeCheck)
	}
	from, _ := clientaddr.Of(r, g.Trusted)
	if refusal := keys.Refusal(&key, from, now); refusal != nil {
		return refusal
	}
	if !app.Grants(key.Scopes, ScopeCheck) {
		return errScopeMissing(ScopeCheck)
	}
	g.Touches.Record(key.ID, now)
	return nil
}

// operatorKey finds an operator's key; operator is false for that of an
// organization.
func (g *Gateway) operatorKey(ctx context.Context, hash [32]byte) (key app.Key, operator bool, err error) {
	if held := g.ring.get(&hash); held != nil {
		return held.key, held.key.OrgID == "", nil
	}
	epoch := g.ring.epoch.Load()
	key, err = g.Directory.KeyByHash(ctx, hash)
	if app.IsKind(err, app.KindNotFound) {
		err = keys.ErrUnknown()
	}
	if err != nil || key.OrgID != "" {
		return key, false, err
	}
	g.ring.put(&hash, &credential{mode: app.AuthKey, key: key}, epoch)
	return key, true, nil
}

// check decides on behalf of the caller whom the question names.
func (g *Gateway) check(x *exchange, q CheckRequest) (err error) {
	if q.Address != "" {
		if x.from, err = netip.ParseAddr(q.Address); err != nil {
			return app.Invalid("address", "must be an IP address")
		}
	}
	if err := x.enterAs(orElse(q.Method, http.MethodGet), q.Host, orElse(q.Path, "/")); err != nil {
		return err
	}
	if x.asks, err = g.asked(q); err != nil {
		return err
	}
	if q.Amount > 0 && x.asks.meter == "" {
		x.weight = q.Amount
	}
	if err := g.decide(x.r.Context(), x, presentedAs(q.Key)); err != nil {
		return err
	}
	return g.count(x)
}

func presentedAs(secret string) presented {
	switch {
	case looksLikeJWT(secret):
		return presented{mode: app.AuthJWT, secret: secret}
	case len(secret) > 3 && secret[:3] == keys.SessionPrefix:
		return presented{mode: app.AuthSession, secret: secret}
	}
	return presented{mode: app.AuthKey, secret: secret}
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (g *Gateway) observeCheck(x *exchange, refusal *app.Error) {
	if x.metered {
		x.settle(app.Outcome{})
	}
	status, code := http.StatusOK, ""
	if refusal != nil {
		status, code = respond.Status(refusal), refusal.Code
	}
	g.observe(x, status, code, g.Now().Sub(x.start))
	x.recorded = true
}

func (x *exchange) checkAnswer(refusal *app.Error) CheckAnswer {
	a := CheckAnswer{Allowed: refusal == nil, Status: http.StatusOK, RequestID: x.requestID}
	if refusal != nil {
		a.Status, a.Code, a.Detail = respond.Status(refusal), refusal.Code, refusal.Message
		a.RetryAfter = int64((refusal.RetryAfter + time.Second - 1) / time.Second)
		a.Quota = refusal.Quota
	}
	if x.credential == nil || x.admission == nil {
		return a
	}
	org := &x.admission.state.org
	a.Org, a.OrgSlug, a.OrgPlan = org.ID, org.Slug, org.Plan
	a.KeyID, a.Actor, a.Scopes = x.credential.key.ID, x.credential.actorID, x.credential.actor.Scopes
	for _, cell := range x.admission.cells {
		rate, state := cell.Limit(), cell.State(x.start)
		a.Limits = append(a.Limits, CheckLimit{Name: rate.Name, Limit: rate.Requests, WindowSec: int64(rate.Window.Std().Seconds()),
			Remaining: state.Remaining, ResetSeconds: limit.Seconds(state.Reset)})
	}
	return a
}

package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

const (
	// StripeVersion is the version of Stripe's API that is spoken, whatever the
	// account's default is (https://docs.stripe.com/api/versioning); its
	// meter events are described at
	// https://docs.stripe.com/api/billing/meter-event/create?api-version=2025-04-30.basil.
	StripeVersion = "2025-04-30.basil"

	stripePath    = "/v1/billing/meter_events"
	stripeTimeout = 30 * time.Second
	stripeAnswers = 64 << 10 // bytes of an answer that are read
)

// stripeClient speaks to Stripe.
type stripeClient struct {
	http   *http.Client
	url    string
	secret string
}

func newStripeClient(o StripeOptions) *stripeClient {
	transport := &http.Transport{DialContext: guardedDial(o.Allow), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: stripeLanes,
		IdleConnTimeout: time.Minute, TLSHandshakeTimeout: dialTimeout}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the secret goes nowhere else
	return &stripeClient{http: &http.Client{Transport: transport, Timeout: stripeTimeout, CheckRedirect: refuse},
		url: strings.TrimSuffix(o.URL, "/") + stripePath, secret: o.SecretKey}
}

// stripeAnswer is what an answer means for an event.
type stripeAnswer struct {
	delivered bool          // Stripe has it
	parked    bool          // Stripe will never take it as it is
	known     bool          // this try did not bring it there, or Stripe has it
	fresh     bool          // the next try needs another idempotency key: with this one Stripe repeats its answer
	after     time.Duration // when Stripe wants to be asked again
	reason    string
	stop      error // nothing else can be sent now either
}

// report sends one event.
func (c *stripeClient) report(ctx context.Context, e app.MeterEvent, customer string) stripeAnswer {
	form := url.Values{
		"event_name":                  {e.EventName},
		"identifier":                  {e.Identifier},
		"timestamp":                   {strconv.FormatInt(e.At.Unix(), 10)},
		"payload[stripe_customer_id]": {customer},
		"payload[value]":              {strconv.FormatInt(e.Value, 10)},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(form.Encode()))
	if err != nil {
		return stripeAnswer{known: true, reason: "The address of Stripe is not valid.", stop: err}
	}
	request.Header.Set("Authorization", "Bearer "+c.secret)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Stripe-Version", StripeVersion)
	request.Header.Set("Idempotency-Key", fmt.Sprintf("%s.%d", e.Identifier, e.Round))
	response, err := c.http.Do(request)
	if err != nil {
		return lost(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, stripeAnswers))
	if err != nil {
		return lost(err)
	}
	return readAnswer(response, body)
}

// lost is no answer: Stripe may have the event, unless there was no connection.
func lost(err error) stripeAnswer {
	a := stripeAnswer{reason: "Stripe did not answer."}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		a.known, a.reason = true, "Stripe could not be reached."
	}
	if errors.Is(err, errPrivateAddress) {
		a.known, a.stop = true, &app.Error{Kind: app.KindUnavailable, Code: "export_unavailable", Err: err,
			Message: "stripe.url leads to a private address.", Advice: "Correct stripe.url."}
	}
	return a
}

// stripeError is the body of a refusal (https://docs.stripe.com/api/errors).
type stripeError struct {
	Error struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// readAnswer says what an answer means.
func readAnswer(response *http.Response, body []byte) stripeAnswer {
	var refusal stripeError
	_ = json.Unmarshal(body, &refusal) // what is not JSON has no fields
	status := response.StatusCode
	reason := fmt.Sprintf("Stripe answered %d %s: %s", status, refusal.Error.Code, cut(refusal.Error.Message))
	switch {
	case status >= 200 && status < 300:
		return stripeAnswer{delivered: true, known: true}
	case status == http.StatusBadRequest && isDuplicate(refusal):
		return stripeAnswer{delivered: true, known: true, reason: "Stripe had it already."}
	case refusal.Error.Type == "idempotency_error" && status == http.StatusBadRequest: // the customer is another one than at the last try
		return stripeAnswer{known: true, fresh: true, reason: reason}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return stripeAnswer{known: true, fresh: true, reason: reason, stop: &app.Error{Kind: app.KindUnavailable, Code: "stripe_refused",
			Message: "Stripe refuses the secret key.", Advice: "Check stripe.secret_key: it needs the right to write meter events."}}
	case status == http.StatusTooManyRequests:
		return stripeAnswer{known: true, reason: reason, after: retryAfter(response)}
	case status == http.StatusConflict: // the same request is under way
		return stripeAnswer{reason: reason, after: retryAfter(response)}
	case status >= 500: // kept with the idempotency key, and repeated with it for a day
		return stripeAnswer{fresh: true, reason: reason, after: retryAfter(response)}
	}
	return stripeAnswer{parked: true, known: true, fresh: true, reason: reason}
}

// isDuplicate reports whether Stripe has the identifier. It tells by its
// message; the code is documented, and not always there.
func isDuplicate(r stripeError) bool {
	return r.Error.Code == "duplicate_meter_event" || strings.Contains(r.Error.Message, "already exists with identifier")
}

func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longestPause)
}

// cut keeps what people need of a long message.
func cut(message string) string {
	const enough = 300
	if len(message) > enough {
		return strings.ToValidUTF8(message[:enough], "") + "…"
	}
	return message
}

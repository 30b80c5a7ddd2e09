package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"gatehouse/app"
)

const (
	// maxCallBody bounds the body of a call to a language model, in bytes: it
	// is held in memory, because what it may cost stands in it. Vendors take 32
	// MiB at most.
	maxCallBody = 32 << 20
	// drainCall is how long an answer that costs is read on when its caller has
	// left, so that what it took is known.
	drainCall = 60 * time.Second
)

// egress is the way of a call to a paid API: who makes it, for whom, what it
// may cost, whether that is covered; then out with the operator's credential,
// and what it cost is counted before the last of the answer is passed on.
func (g *Gateway) egress(x *exchange) error {
	if x.upgrade {
		return errEgressUpgrade() // what goes through a tunnel cannot be counted
	}
	modes := x.route.modes
	modes.key, modes.none = true, false
	c, err := g.egressCaller(x, find(x.r.Header, modes))
	if err != nil {
		return err
	}
	if err := g.admit(x.r.Context(), x, c); err != nil {
		return err
	}
	if err := g.takePlaces(x); err != nil {
		return err
	}
	return g.pay(x)
}

// pay is dispatch and proxy for a call that costs.
func (g *Gateway) pay(x *exchange) error {
	if x.route.pool == nil {
		return errNoUpstream()
	}
	if x.route.vendor.broken {
		return errCredentialSealed()
	}
	dims := attributes(x.r.Header, x.credential)
	if err := x.addressToVendor(); err != nil {
		return err
	}
	p := &paidCall{x: x, attributes: dims}
	request, err := p.prepare()
	if err != nil {
		return err
	}
	if err := p.dispatch(x.r.Context()); err != nil {
		return err
	}
	if request, err = p.rewrite(request.WithContext(x.r.Context())); err != nil {
		return err
	}
	x.own = g.Now().Sub(x.start)
	p.went = true
	x.result = x.route.pool.Serve(x.w, request, &x.out)
	p.broke = x.result.Err
	p.close()
	if x.result.Sent {
		return nil
	}
	return x.leash.reason(x.result.Err)
}

// received is the length of the caller's body, below 0 when nobody knows it.
func (p *paidCall) received() int64 {
	if p.x.route.Egress.API == app.EgressHTTP {
		return p.x.r.ContentLength
	}
	return int64(len(p.body))
}

// readCall reads the whole body of a call.
func (x *exchange) readCall() ([]byte, error) {
	most := min(x.route.BodyLimit, maxCallBody)
	if x.r.ContentLength > most {
		return nil, errBodyTooLarge(most)
	}
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return nil, nil
	}
	control := http.NewResponseController(x.w)
	if control.SetReadDeadline(time.Now().Add(x.route.Timeout.Std())) == nil {
		defer control.SetReadDeadline(time.Time{})
	}
	body := make([]byte, 0, max(512, x.r.ContentLength+1))
	body, err := appendAll(body, http.MaxBytesReader(x.w, x.r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, errBodyTooLarge(most)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errSlowCall(err)
	}
	return nil, errBrokenCall(err)
}

// appendAll is io.ReadAll into room that is there.
func appendAll(b []byte, from io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := from.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// dispatch is the gate's dispatch for a call that costs: the worst case is
// reserved, and durable before the vendor hears of the call. A crash from here
// on leaves the worst case charged.
func (p *paidCall) dispatch(ctx context.Context) error {
	x := p.x
	x.prepareSteps(p.received())
	if x.route.Egress.API != app.EgressHTTP {
		x.out.Pass = nil // its body is here, and its answer passes through p
	}
	if err := p.reserve(ctx); err != nil {
		return err
	}
	in := x.intent(nil)
	in.Hold = p.holds()
	if x.credential.mode == onBehalf {
		in.Weight = 0
	}
	x.paid = p
	x.begin(in)
	if err := x.wait(ctx); err != nil {
		return err
	}
	return context.Cause(ctx) // nobody waits for it any more: it was not sent
}

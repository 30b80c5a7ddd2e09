package gateway

import (
	"context"
	"net/http"
	"time"

	"gatehouse/app"
	"gatehouse/web/gateway/tokens"
	"gatehouse/web/gateway/upstream"
)

// answerState is what is known of a paid call's answer. A paidCall is the
// filter of its answer: it reads the usage that passes by.
type answerState struct {
	reader *tokens.Reader // nil: there was no answer, or its call is not counted
	status int            // of the answer; 0: none came
	seen   int64          // bytes of it
	passed int64          // bytes of it that the caller had

	measured  bool
	tokens    app.TokenUsage
	counted   bool // tokens are counted
	cost      app.Money
	priced    bool // cost is counted
	estimated bool
}

// answer begins to read the vendor's answer.
func (p *paidCall) answer(status int, header http.Header) upstream.AnswerFilter {
	p.reader = tokens.NewReader(p.x.route.Egress.API, p.call, header.Get("Content-Type"), header.Get("Content-Encoding"))
	p.status = status
	if p.reader.Decodes() {
		delete(header, "Content-Encoding")
	}
	return p
}

// Piece implements upstream.AnswerFilter.
func (p *paidCall) Piece(piece []byte) ([]byte, error) {
	p.seen += int64(len(piece))
	pass, err := p.reader.Write(piece)
	if err != nil {
		return nil, err
	}
	return p.pass(pass)
}

// pass counts what goes to the caller, as far as a hard quota of bytes covers it.
func (p *paidCall) pass(piece []byte) ([]byte, error) {
	if b := p.x.bytes; b != nil {
		if p.x.r.Context().Err() != nil {
			return nil, nil // it has left, and the answer is read to its end without it
		}
		if err := b.frame(false, int64(len(piece))); err != nil {
			return nil, err
		}
	}
	p.passed += int64(len(piece))
	return piece, nil
}

// End implements upstream.AnswerFilter: what the call cost is durable before
// its caller has the last of the answer.
func (p *paidCall) End() ([]byte, error) {
	rest, err := p.reader.Finish()
	if err != nil || !p.x.metered {
		return rest, err
	}
	if rest, err = p.pass(rest); err != nil {
		return nil, err
	}
	x := p.x
	x.result.BytesIn, x.result.BytesOut = int64(len(p.body)), p.passed
	out := x.final(x.outcome(p.status, x.g.Now().Sub(x.start)))
	ticket := x.g.Ledger.SettleTicket(x.ticket, out)
	x.free()
	x.tally(p.status)
	return rest, ticket.Wait(context.WithoutCancel(x.r.Context()))
}

// close lets go of what reads the answer.
func (p *paidCall) close() {
	if p.reader != nil {
		p.reader.Close()
	}
}

// measure decides, once, what is counted: what the vendor said; nothing of a
// call that did not reach it or that it refused; otherwise the worst case,
// flagged as estimated.
func (p *paidCall) measure() {
	if p.measured {
		return
	}
	p.measured = true
	usage, found := app.TokenUsage{}, false
	if p.reader != nil {
		usage, found = p.reader.Usage()
	}
	if p.status == 0 {
		p.status = p.x.result.Status
	}
	switch {
	case !p.went || p.unheard():
	case p.x.route.Egress.API == app.EgressHTTP:
		p.cost, p.priced = p.x.route.Cost, true
	case !p.call.Counted():
		p.cost, p.priced = p.x.route.Cost, true
		p.estimated = p.call.Kind == tokens.KindUnknown && p.status < http.StatusBadRequest
	case found:
		p.count(usage, false)
	case p.status < http.StatusBadRequest:
		p.count(p.estimate(), true)
	}
}

// count counts tokens and their price, which is flagged where the price list does
// not know all of it.
func (p *paidCall) count(u app.TokenUsage, estimated bool) {
	p.tokens, p.counted, p.estimated, p.priced = u, true, estimated, true
	if p.x.g.Rates != nil {
		p.cost, p.unknown = p.x.g.Rates.Price(p.call.Model, p.x.start, u)
	}
	p.cost += p.x.route.Cost
}

// bytesPerToken turns the bytes of an answer into tokens where nothing else
// bounds them: text has about four to a token, and its framing adds to that.
const bytesPerToken = 4

// estimate is the worst case, as far as the answer did not tell better.
func (p *paidCall) estimate() app.TokenUsage {
	worst := p.worst
	if worst.Output == 0 && p.call.Kind != tokens.KindEmbedding {
		worst.Output = p.seen/bytesPerToken + 1
	}
	worst.Input = max(worst.Input, 1)
	if p.reader != nil {
		return p.reader.Estimate(worst)
	}
	return worst
}

// unheard reports whether the vendor cannot have heard of the call: no address
// took it, or its caller had left before one did. A caller who leaves later is
// waited for, see drainCall.
func (p *paidCall) unheard() bool {
	if p.status != 0 || p.broke == nil {
		return false
	}
	switch app.AsError(p.broke).Kind {
	case app.KindUnavailable, app.KindInvalid, app.KindTooLarge, app.KindMethod:
		return true
	case app.KindCancelled:
		return time.Since(p.began) < drainCall
	}
	return false
}

// uses appends what the call took.
func (p *paidCall) uses(dst []app.Use) []app.Use {
	p.measure()
	use := func(meter string, n int64, estimated bool) {
		dst = append(dst, app.Use{Meter: meter, Dims: p.dims, Value: n, Estimated: estimated})
	}
	if p.counted {
		use(app.MeterTokensInput, p.tokens.Input, p.estimated)
		use(app.MeterTokensOutput, p.tokens.Output, p.estimated)
		if p.tokens.CacheRead > 0 {
			use(app.MeterTokensCacheRead, p.tokens.CacheRead, p.estimated)
		}
		if p.tokens.CacheWrite > 0 {
			use(app.MeterTokensCacheWrite, p.tokens.CacheWrite, p.estimated)
		}
	}
	if p.priced && (p.cost > 0 || p.counted || p.estimated) {
		use(app.MeterCost, int64(p.cost), p.estimated || p.unknown != nil)
	}
	return dst
}

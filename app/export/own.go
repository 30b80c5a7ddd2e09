package export

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"sync"
	"time"

	"gatehouse/app"
)

// Bounds of a page of an organization's records.
const (
	DefaultPageRecords = 1_000
	MaxPageRecords     = 10_000
	pageBytes          = 16 << 20 // of everybody's blocks, which are read for it: a fraction of a second
	pagesAtOnce        = 4        // in this process; of an organization one
)

// OrgSource reads one organization's records out of everybody's.
type OrgSource interface {
	// Since is the place from which on records came in at a time or later.
	Since(ctx context.Context, at time.Time) (app.ExportPlace, error)
	// Records passes the organization's records after a place, at most max,
	// reading about so many bytes, and returns the place after them. end reports
	// whether the ledger's end was reached.
	Records(ctx context.Context, org app.OrgID, after app.ExportPlace, bytes int64, max int,
		each func(*app.ExportRecord) error) (next app.ExportPlace, end bool, err error)
}

// Orgs finds organizations; *store.Store does.
type Orgs interface {
	Org(ctx context.Context, id app.OrgID) (app.Org, error)
}

// Sealing keeps cursors to themselves; *app.Sealer does.
type Sealing interface {
	Seal(purpose string, secret []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
	Derive(purpose string) []byte
}

// Own hands an organization its own records, page by page. Places in the
// ledger and the records' ids would tell how much others use: an organization
// gets sealed cursors instead, and ids of its own.
type Own struct {
	Source  OrgSource
	Orgs    Orgs
	Sealing Sealing

	mu   sync.Mutex
	busy map[app.OrgID]bool
}

// PageQuery asks for a page.
type PageQuery struct {
	Org    app.OrgID
	After  string    // Next of the page before; empty: from Since on
	Since  time.Time // from what came in then; zero: since the organization exists
	Format string    // FormatJSONL or FormatCSV
	Max    int       // records, 1–MaxPageRecords; 0: DefaultPageRecords
}

// Page is a part of an organization's records.
type Page struct {
	Body []byte // in the format that was asked for
	Next string // cursor, to go on now or later
	End  bool   // there is nothing more at this moment
}

// Page writes records of an organization. Its own keys and users may ask, and
// operators with usage:read; another's is not found. It may hold fewer records
// than asked for, even none, before the end. Errors: rate_limited with the code
// export_busy while another page of the organization is written.
func (o *Own) Page(ctx context.Context, actor app.Actor, q PageQuery) (p Page, err error) {
	if err := ownOr(actor, q.Org); err != nil {
		return p, err
	}
	if err := CheckFormat(q.Format); err != nil {
		return p, err
	}
	if q.Max < 0 || q.Max > MaxPageRecords {
		return p, app.Invalid("limit", "must be between 1 and %d", MaxPageRecords)
	}
	done, err := o.enter(q.Org)
	if err != nil {
		return p, err
	}
	defer done()
	after, err := o.begin(ctx, q)
	if err != nil {
		return p, err
	}
	var body bytes.Buffer
	out := newEncoder(q.Format, &body)
	if err := out.begin(); err != nil {
		return p, err
	}
	ids := o.ids(q.Org)
	next, end, err := o.Source.Records(ctx, q.Org, after, pageBytes, orElse(q.Max, DefaultPageRecords), func(r *app.ExportRecord) error {
		return out.write(ids.private(r))
	})
	if err != nil {
		return p, err
	}
	return Page{Body: body.Bytes(), Next: o.seal(q.Org, next), End: end}, nil
}

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// ownOr lets operators see everybody, and others themselves.
func ownOr(actor app.Actor, org app.OrgID) error {
	switch {
	case actor.OrgID == "" || actor.Kind != app.ActorKey && actor.Kind != app.ActorUser:
		return actor.Require(ScopeRead)
	case actor.OrgID != org:
		return app.NotFound("organization")
	}
	return nil
}

// enter takes a place among those who are served at once.
func (o *Own) enter(org app.OrgID) (leave func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy[org] || len(o.busy) >= pagesAtOnce {
		return nil, &app.Error{Kind: app.KindRateLimited, Code: "export_busy", Message: "Another page is being exported.",
			Advice: "Ask for one page after the other.", RetryAfter: time.Second}
	}
	if o.busy == nil {
		o.busy = map[app.OrgID]bool{}
	}
	o.busy[org] = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.busy, org)
	}, nil
}

// begin is the place where a page begins.
func (o *Own) begin(ctx context.Context, q PageQuery) (app.ExportPlace, error) {
	if q.After != "" {
		if !q.Since.IsZero() {
			return app.ExportPlace{}, app.Invalid("since", "cannot be combined with after")
		}
		return o.open(q.Org, q.After)
	}
	if q.Since.IsZero() {
		org, err := o.Orgs.Org(ctx, q.Org)
		if err != nil {
			return app.ExportPlace{}, err
		}
		q.Since = org.CreatedAt
	}
	return o.Source.Since(ctx, q.Since)
}

// idsOf makes ids that tell nothing of others.
type idsOf struct {
	org app.OrgID
	key []byte
}

func (o *Own) ids(org app.OrgID) idsOf {
	return idsOf{org, o.Sealing.Derive("ids of exported records")}
}

// private is the record as its organization sees it: without places in the
// ledger, and without the operator's own words.
func (ids idsOf) private(r *app.ExportRecord) *app.ExportRecord {
	own := *r
	own.ID, own.N, own.Reason, own.By = ids.of(r.ID), 0, "", ""
	if r.Request != "" {
		own.Request = ids.of(r.Request)
	}
	return &own
}

func (ids idsOf) of(id string) string {
	mac := hmac.New(sha256.New, ids.key)
	mac.Write([]byte(string(ids.org) + "\x00" + id))
	return "rec_" + strings.ToLower(base32.HexEncoding.EncodeToString(mac.Sum(nil)[:15]))
}

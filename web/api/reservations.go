package api

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
)

const (
	aboutReserve = "Before long work begins: books the whole amount on every quota that concerns the meter, or refuses with 402 and books nothing. " +
		"Send a sign of life (extend) before `expires_at`; then settle with what was used, or release. A meter without a quota is only counted."
	aboutSettle = "Counts what was used, exactly once, in the period in which the reservation began; it may be more than was reserved. " +
		"Settling again changes nothing."
	aboutExtend = "A sign of life: the reservation expires `life` after it. `used` is what was used so far; when the app falls silent " +
		"it is what counts. `more` is booked wholly, or refused with 402: then the reservation stays as it was."
)

// NewReservation is the body of createReservation.
type NewReservation struct {
	Org        string            `json:"org,omitempty" maxLength:"100" doc:"The organization, by id or slug; an operator must name it" example:"acme"`
	Key        app.KeyID         `json:"key_id,omitempty" maxLength:"100" doc:"A key of it, whose quotas count too; an organization's key is itself the one"`
	Meter      string            `json:"meter" maxLength:"100" doc:"What is reserved" example:"agent_minutes"`
	Amount     int64             `json:"amount" doc:"How much the work may take at most" example:"30"`
	Dimensions map[string]string `json:"dimensions,omitempty" doc:"What its usage can be grouped by, such as {\"task\": \"import\"}"`
	Life       app.Duration      `json:"life,omitempty" doc:"How long the app may be silent, 5s–24h; 60s by default" example:"2m"`
}

type createReservationInput struct {
	Creation
	Body NewReservation
}

func (x *API) createReservation(ctx context.Context, actor app.Actor, in *createReservationInput) (*answerOf[app.Reservation], error) {
	b := in.Body
	if actor.Kind != app.ActorKey {
		if b.Org == "" {
			return nil, app.Invalid("org", "is required of an operator")
		}
		if err := x.hasKey(ctx, b.Org, b.Key); err != nil {
			return nil, err
		}
	}
	dims, err := dimensions(b.Dimensions)
	if err != nil {
		return nil, err
	}
	return answer(x.Reservations.Reserve(ctx, actor, quota.NewReservation{Org: b.Org, Key: b.Key, Meter: b.Meter, Dims: dims,
		Amount: b.Amount, Life: b.Life.Std()}))
}

// dimensions writes dimensions as app.Use.Dims.
func dimensions(given map[string]string) (string, error) {
	if len(given) == 0 {
		return "", nil
	}
	if len(given) > app.MaxDimensions {
		return "", app.Invalid("dimensions", "must be at most %d", app.MaxDimensions)
	}
	for name, value := range given {
		if name == "" || len(name) > 64 || len(value) > app.MaxDimensionLength {
			return "", app.Invalid("dimensions", "must have names of 1–64 and values of at most %d bytes", app.MaxDimensionLength)
		}
	}
	return metering.Dims(given), nil
}

type listReservationsInput struct {
	Cursor string               `query:"cursor" doc:"What the page before gave as next"`
	Limit  int                  `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items on a page"`
	Org    string               `query:"org" doc:"Only this organization's, by id or slug; for an operator" maxLength:"100"`
	State  app.ReservationState `query:"state" enum:"open,settled,released,expired" doc:"Only those in this state"`
}

func (x *API) listReservations(ctx context.Context, actor app.Actor, in *listReservationsInput) (*answerOf[app.List[app.Reservation]], error) {
	list, err := x.Reservations.List(ctx, actor, in.Org, app.Page{Cursor: in.Cursor, Limit: in.Limit, Filter: string(in.State)})
	list.Items = notNull(list.Items)
	return answer(list, err)
}

// ReservationPath names a reservation in a path.
type ReservationPath struct {
	Reservation string `path:"reservation" doc:"The reservation's id" maxLength:"100" example:"rsv_01kavq5m3n8r2t4w6y9b1d3f5h"`
}

func (x *API) getReservation(ctx context.Context, actor app.Actor, in *ReservationPath) (*answerOf[app.Reservation], error) {
	return answer(x.Reservations.Find(ctx, actor, in.Reservation))
}

type settleInput struct {
	ReservationPath
	Body struct {
		Used int64 `json:"used" doc:"What was used" example:"12"`
	} `nameHint:"Settlement"`
}

func (x *API) settleReservation(ctx context.Context, actor app.Actor, in *settleInput) (*answerOf[app.Reservation], error) {
	return answer(x.Reservations.Settle(ctx, actor, in.Reservation, in.Body.Used))
}

func (x *API) releaseReservation(ctx context.Context, actor app.Actor, in *ReservationPath) (*answerOf[app.Reservation], error) {
	return answer(x.Reservations.Release(ctx, actor, in.Reservation))
}

type extendInput struct {
	ReservationPath
	Body struct {
		Used int64        `json:"used,omitempty" doc:"What was used so far; less than before changes nothing" example:"7"`
		More int64        `json:"more,omitempty" doc:"How much more it may take" example:"10"`
		Life app.Duration `json:"life,omitempty" doc:"How long the app may be silent from now on; as before by default"`
	} `nameHint:"Extension"`
}

func (x *API) extendReservation(ctx context.Context, actor app.Actor, in *extendInput) (*answerOf[app.Reservation], error) {
	return answer(x.Reservations.Extend(ctx, actor, in.Reservation, in.Body.Used, in.Body.More, in.Body.Life.Std()))
}

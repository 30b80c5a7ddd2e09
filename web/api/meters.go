package api

import (
	"context"

	"gatehouse/app"
)

// MeterPath names a meter in a path.
type MeterPath struct {
	Meter string `path:"meter" doc:"The meter's slug" maxLength:"100" example:"documents"`
}

func (x *API) listMeters(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[Items[app.Meter]], error) {
	return items(x.Meters.List(ctx, actor))
}

func (x *API) getMeter(ctx context.Context, actor app.Actor, in *MeterPath) (*answerOf[app.Meter], error) {
	return answer(x.Meters.Find(ctx, actor, in.Meter))
}

type applyMetersInput struct {
	Body struct {
		Meters []app.Meter `json:"meters" doc:"The meters to create or replace" minItems:"1" maxItems:"200"`
	} `nameHint:"MeterSet"`
}

func (x *API) applyMeters(ctx context.Context, actor app.Actor, in *applyMetersInput) (*answerOf[app.Applied], error) {
	return answer(x.Meters.Apply(ctx, actor, in.Body.Meters))
}

func (x *API) deleteMeter(ctx context.Context, actor app.Actor, in *MeterPath) (*struct{}, error) {
	return nil, x.Meters.Delete(ctx, actor, in.Meter)
}

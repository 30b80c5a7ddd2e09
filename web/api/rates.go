package api

import (
	"context"
	"time"

	"gatehouse/app"
)

func (x *API) listRates(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[Items[app.Rate]], error) {
	return items(x.Rates.List(ctx, actor))
}

type applyRatesInput struct {
	Body struct {
		Rates []app.Rate `json:"rates" doc:"The rates to create or replace, by model and valid_from" minItems:"1" maxItems:"1000"`
	} `nameHint:"RateSet"`
}

func (x *API) applyRates(ctx context.Context, actor app.Actor, in *applyRatesInput) (*answerOf[app.Applied], error) {
	return answer(x.Rates.Apply(ctx, actor, in.Body.Rates))
}

type deleteRateInput struct {
	Model     string    `query:"model" required:"true" maxLength:"200" doc:"The rate's model"`
	ValidFrom time.Time `query:"valid_from" required:"true" doc:"From when on it holds"`
}

func (x *API) deleteRate(ctx context.Context, actor app.Actor, in *deleteRateInput) (*struct{}, error) {
	return nil, x.Rates.Delete(ctx, actor, in.Model, in.ValidFrom)
}

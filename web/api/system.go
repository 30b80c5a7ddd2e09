package api

import (
	"context"
	"time"

	"gatehouse/app"
	"gatehouse/app/traffic"
)

const aboutTraffic = "What the console's overview shows: counts, percentiles, refusals by reason and the busiest organizations. " +
	"At most one answer a second is made; a short range covers this node's own memory and what the others have written down."

type getTrafficInput struct {
	Range string `query:"range" enum:"15m,1h,24h,30d" default:"1h" doc:"How far back"`
}

func (x *API) getTraffic(ctx context.Context, _ app.Actor, in *getTrafficInput) (*answerOf[traffic.Snapshot], error) {
	shared, err := x.Traffic.Snapshot(ctx, traffic.Range(in.Range))
	if err != nil {
		return nil, err
	}
	shown := *shared // others hold it too
	shown.Points, shown.Refusals, shown.Orgs = notNull(shown.Points), notNull(shown.Refusals), notNull(shown.Orgs)
	return &answerOf[traffic.Snapshot]{shown}, nil
}

// notNull makes an empty list be written as one.
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// SystemInfo is the running program and what it stands on.
type SystemInfo struct {
	Version   string        `json:"version" doc:"Of the program"`
	Engine    string        `json:"engine" doc:"The database: SQLite or PostgreSQL"`
	StartedAt time.Time     `json:"started_at" doc:"When this process began to serve"`
	Checks    []SystemCheck `json:"checks" doc:"The readiness checks"`
}

func (x *API) getSystem(ctx context.Context, _ app.Actor, _ *struct{}) (*answerOf[SystemInfo], error) {
	return answer(SystemInfo{Version: x.Version, Engine: x.System.Engine(), StartedAt: x.System.StartedAt().UTC().Truncate(time.Second),
		Checks: x.System.Checks(ctx)}, nil)
}

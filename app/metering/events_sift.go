package metering

import "gatehouse/app"

// sieve is the memory that sorting out takes, kept from one block to the next.
type sieve struct {
	first  map[[16]byte]int // where in places
	places []eventPlace     // the first event of each id
	ids    [][16]byte       // of places
	again  []repetition
}

// repetition is an event whose id another one of the same block has.
type repetition struct {
	eventPlace
	first int // where in places
}

// eventPlace is where one event stands among batches.
type eventPlace struct {
	batch *eventBatch
	index int
}

// fill puts the batches' events into the sieve.
func (s *sieve) fill(list []*eventBatch) {
	if clear(s.first); s.first == nil || len(s.ids) > 8*maxEventsBlock {
		*s = sieve{first: map[[16]byte]int{}} // one very large block is no measure
	}
	s.places, s.ids, s.again = s.places[:0], s.ids[:0], s.again[:0]
	for _, b := range list {
		for i, id := range b.ids {
			p := eventPlace{b, i}
			if first, twice := s.first[id]; twice {
				s.again = append(s.again, repetition{p, first})
				continue
			}
			s.first[id] = len(s.places)
			s.places, s.ids = append(s.places, p), append(s.ids, id)
		}
	}
}

// sift answers duplicates and conflicts, and returns what is new.
func (e *Events) sift(list []*eventBatch) ([]eventPlace, error) {
	s := &e.sieve
	s.fill(list)
	counted, err := e.store.CountedEvents(e.chain.ctx, s.ids)
	if err != nil {
		return nil, err
	}
	for _, p := range s.again {
		mark, known := counted[s.ids[p.first]]
		if !known {
			mark.Body = s.places[p.first].event().Body
		}
		p.answer(repeated(p.event().Body, mark.Body), mark)
	}
	if len(counted) == 0 {
		return s.places, nil
	}
	var fresh []eventPlace
	for i, p := range s.places {
		if mark, known := counted[s.ids[i]]; known {
			p.answer(repeated(p.event().Body, mark.Body), mark)
			continue
		}
		fresh = append(fresh, p)
	}
	return fresh, nil
}

func (p eventPlace) event() *app.Event { return &p.batch.events[p.index] }

// answer says what became of the event, and which block counted it, as far as
// that is known.
func (p eventPlace) answer(r app.EventResult, mark app.EventMark) {
	r.Replica, r.Seq = mark.Replica, mark.Seq
	p.batch.result[p.batch.at[p.index]] = r
}

// placed tells the repetitions of new events which block counts those.
func (s *sieve) placed(mark app.EventMark) {
	for _, p := range s.again {
		if r := &p.batch.result[p.batch.at[p.index]]; r.Seq == 0 {
			r.Replica, r.Seq = mark.Replica, mark.Seq
		}
	}
}

func repeated(body, before [8]byte) app.EventResult {
	if body == before {
		return app.EventResult{Verdict: app.EventDuplicate}
	}
	return app.EventResult{Verdict: app.EventConflict, Reason: "an event with this id and another body was counted before"}
}

package metering

import (
	"gatehouse/app"
)

// proven is what a reading that held leaves to the next: the sums of the blocks
// that were folded, and of each chain the last of them. The next reading goes
// on there. Its size does not grow with the requests.
type proven struct {
	chains   map[int64]*chain
	slots    *slots
	accounts *accountBook
	steps    int64 // the last one
	totals   Proof // the counts of blocks
	readings int64
}

func newProven() *proven {
	return &proven{chains: map[int64]*chain{}, slots: newSlots(newDigester()), accounts: newAccountBook()}
}

// chain is what was proven of one replica's blocks that are applied.
type chain struct {
	last     app.LedgerLink
	link     app.LedgerLink // the block before its first, which is proven
	clock    int64          // when its last block was written, Unix milliseconds
	open     requests
	answered int64 // outcomes of success
	held     map[app.Account]int64
	events   bool  // whether there are any
	from, to int64 // blocks of the steps that were seen: after from, up to to
}

// requests are without outcome.
type requests struct {
	open  map[requestKey]openRequest
	under *requests // earlier ones, which stay as they are
	ended map[requestKey]bool
	more  int64 // of those that are open, how many are none: they hold more for one
}

type requestKey struct{ seq, index int64 }

type openRequest struct {
	series uint64 // a hash
	bucket int64
	held   bool // with a worst case
	more   bool // it is no request, see Intent.More
}

func (q *requests) add(key requestKey, in openRequest) {
	if q.open == nil {
		q.open = map[requestKey]openRequest{}
	}
	q.open[key] = in
	q.more += int64(bit(in.more))
}

// end finds the request of an outcome, once.
func (q *requests) end(key requestKey) (openRequest, bool) {
	if in, found := q.open[key]; found {
		delete(q.open, key)
		q.more -= int64(bit(in.more))
		return in, true
	}
	if q.under == nil || q.ended[key] {
		return openRequest{}, false
	}
	in, found := q.under.open[key]
	if found {
		if q.ended == nil {
			q.ended = map[requestKey]bool{}
		}
		q.ended[key] = true
		q.more -= int64(bit(in.more))
	}
	return in, found
}

func (q *requests) count() int64 {
	n := int64(len(q.open)-len(q.ended)) - q.more
	if q.under != nil {
		n += q.under.count()
	}
	return n
}

// place names a block.
type place struct{ replica, seq int64 }

// run is a replica as one reading sees it.
type run struct {
	app.LedgerReplica
	*chain
	// What is not applied yet belongs to this reading alone.
	last   app.LedgerLink // of all its blocks
	tail   *requests
	gaps   []gap
	heard  int64          // the block that was proven before and must still be there; 0: none
	again  app.LedgerLink // the last block that was read once more
	noted  map[app.Account]int64
	listed bool // whether noted was begun
}

// gap is blocks that could not be read.
type gap struct{ from, to int64 }

func (r *run) unread(seq int64) bool {
	for _, g := range r.gaps {
		if g.from <= seq && seq <= g.to {
			return true
		}
	}
	return false
}

// count adds what an applied block tells of the replica itself.
func (r *chain) count(b *Block) {
	for i := range b.Settles {
		if s := b.Settles[i].Status; s >= 200 && s < 300 {
			r.answered++
		}
	}
	for _, d := range b.Draws {
		account := b.Accounts[d.Account]
		if r.held[account] += d.Held; r.held[account] == 0 {
			delete(r.held, account)
		}
	}
	r.clock = b.Base
}

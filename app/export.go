package app

import "time"

// ExportKind says which record of the ledger an ExportRecord shows.
type ExportKind string

// Kinds of exported records.
const (
	ExportRequest ExportKind = "request" // passed the gate; its quantity is its weight, of the meter requests
	ExportSettle  ExportKind = "settle"  // how a request ended
	ExportUse     ExportKind = "use"     // a quantity of a meter
	ExportEvent   ExportKind = "event"   // what the operator's app reported; what it counts are uses of their own
	ExportAdjust  ExportKind = "adjust"  // an operator's correction
)

// ExportRecord is one record of the usage ledger as others see it. Which
// fields it has depends on its kind; the rest are zero.
type ExportRecord struct {
	ID        string     // of the record, for ever: "replica-block-kind-index"
	N         int64      // the cursor's number that it came with
	Kind      ExportKind // decides the rest
	At        time.Time  // when it counts; of a settle the start of its request's bucket
	Org       OrgID
	Key       KeyID
	Route     RouteID
	Meter     string // of request, use and adjust
	Dims      string // as Use.Dims
	Quantity  int64  // of request, use and adjust; of a unique meter a hash of the value
	Unique    bool   // Quantity names a member of a set, and is not to be added
	Estimated bool   // nobody said the true quantity
	Request   string // of a settle: the id of its request's record
	Status    int    // of a settle: HTTP's; 0: none was sent
	BytesIn   int64  // of a settle
	BytesOut  int64  // of a settle
	Duration  time.Duration
	Source    string // of an event, with EventID and EventType
	EventID   string
	EventType string
	Received  time.Time // of an event
	Reason    string    // of an adjust
	By        string    // of an adjust: an actor
}

// AppliedRange is a step of the ledger: the blocks of one replica after From
// up to To went into the usage buckets together, as the N-th step. Steps are
// numbered in the order of their commits, without gaps, so "everything after
// N" misses nothing that commits later.
type AppliedRange struct {
	N        int64
	Replica  int64
	From, To int64
	At       time.Time
	Bytes    int64 // of its blocks
}

// ExportRange is a part of the ledger: the steps after After up to Upto. It is
// empty when both are equal.
type ExportRange struct {
	After, Upto int64
	At          time.Time // of its first step
}

// ExportPlace is a place between two records of the ledger: after the step Step,
// of the next one after the block Block, and of the next one after Skip records
// of the organization that it is about.
type ExportPlace struct {
	Step, Block int64
	Skip        int64
}

// Empty reports whether there is nothing in it.
func (r ExportRange) Empty() bool { return r.Upto <= r.After }

// ExportCursor is how far one destination has come. Planned says where the
// object that is being written ends: whoever goes on writes the same one, so
// that no object holds a part of another.
type ExportCursor struct {
	Name      string    `json:"name"`
	Cursor    int64     `json:"cursor"`
	Planned   int64     `json:"planned"` // the cursor itself: nothing is being written
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// MeterEventState says what became of usage that is reported to a provider.
type MeterEventState string

// States of a reported MeterEvent.
const (
	MeterEventDue       MeterEventState = "due"       // to be sent, or sent without an answer
	MeterEventWaiting   MeterEventState = "waiting"   // its organization has no customer there yet
	MeterEventDelivered MeterEventState = "delivered" // the provider has it, once
	MeterEventParked    MeterEventState = "parked"    // refused: a person must look
)

// MeterEvent is usage of one organization and meter in one bucket, as it is
// reported to a billing provider under a name that is never used again.
type MeterEvent struct {
	Identifier string          `json:"identifier"`
	Org        OrgID           `json:"org_id"`
	Meter      string          `json:"meter"`
	EventName  string          `json:"event_name"` // of the provider's meter
	Value      int64           `json:"value"`
	At         time.Time       `json:"at"` // the latest usage in it
	State      MeterEventState `json:"state"`
	Attempts   int64           `json:"attempts"`
	Round      int64           `json:"-"` // answers that must not be replayed: part of the idempotency key
	NextAt     time.Time       `json:"next_at,omitzero"`
	UnsureAt   time.Time       `json:"unsure_at,omitzero"` // the first try whose outcome is unknown; zero: none
	Reason     string          `json:"reason,omitempty"`   // of the last refusal
	UpdatedAt  time.Time       `json:"updated_at"`
}

// BillingProvider names who bills an organization elsewhere.
type BillingProvider string

// BillingStripe is Stripe.
const BillingStripe BillingProvider = "stripe"

// BillingCustomer is an organization as a billing provider knows it.
type BillingCustomer struct {
	Org       OrgID           `json:"org_id"`
	Provider  BillingProvider `json:"provider"`
	Customer  string          `json:"customer"` // the provider's id, such as cus_…
	UpdatedAt time.Time       `json:"updated_at"`
}

package app

import "time"

// ReservationState says where a reservation stands.
type ReservationState string

// States of a reservation.
const (
	ReservationOpen     ReservationState = "open"
	ReservationSettled  ReservationState = "settled"  // counted with what was used
	ReservationReleased ReservationState = "released" // nothing was used
	ReservationExpired  ReservationState = "expired"  // its app fell silent: counted with what was used as far as known
)

// Reservation is work of the operator's app for which room was reserved in an
// organization's quotas before it began.
type Reservation struct {
	ID        string           `json:"id"` // rsv_…
	Org       OrgID            `json:"org_id"`
	Key       KeyID            `json:"key_id,omitempty"`
	Meter     string           `json:"meter"`
	Dims      string           `json:"-"` // as Use.Dims
	Amount    int64            `json:"amount"`
	Used      int64            `json:"used"` // as the app told last
	State     ReservationState `json:"state"`
	Estimated bool             `json:"estimated,omitempty"` // it expired: Used is what was known
	CreatedAt time.Time        `json:"created_at"`
	ExpiresAt time.Time        `json:"expires_at"`
	EndedAt   time.Time        `json:"ended_at,omitzero"`

	Life     time.Duration `json:"-"` // how long its app may be silent
	HeardAt  time.Time     `json:"-"` // when its app was heard last
	Accounts []Account     `json:"-"` // where Amount is booked
	Booked   bool          `json:"-"` // it still is
	Counted  LedgerLink    `json:"-"` // the block that counts Used, without its hash; Seq 0: none yet
}

// Bounds of a reservation's life: it expires when its app is silent for so long.
const (
	DefaultReservationLife = 60 * time.Second
	MinReservationLife     = 5 * time.Second
	MaxReservationLife     = 24 * time.Hour
)

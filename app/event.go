package app

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Event is one occurrence that the operator's app reports. Org, Source and ID
// name it: the same again is a duplicate, whatever its time says.
type Event struct {
	Org    OrgID
	Key    KeyID  // of the organization; may be empty
	Source string // which part of the app tells
	ID     string // unique within the source
	Type   string
	Time   time.Time
	Body   [8]byte // hash of everything that the event says: another body under the same id is a conflict
	Uses   []Use   // what meters read from it; may be empty: it is kept all the same
	Import bool    // an explicit backfill: may be older than EventLife
}

// How old and how new an event may be, and how long its id is remembered.
const (
	EventLife   = 35 * 24 * time.Hour
	EventFuture = 15 * time.Minute // clocks of other machines go wrong by this much
)

// EventVerdict is what became of an event.
type EventVerdict string

// Verdicts of events.
const (
	EventAccepted  EventVerdict = "accepted"  // counted, durably
	EventDuplicate EventVerdict = "duplicate" // counted before: the same id and body
	EventConflict  EventVerdict = "conflict"  // the same id with another body was counted before; this one is not
	EventTooOld    EventVerdict = "too_old"   // older than EventLife; import it
	EventRejected  EventVerdict = "rejected"  // malformed; the reason says why
)

// EventID16 is what an event is known by: the first 16 bytes of the SHA-256 of
// organization, source and id, each after its length, so that no two of them
// share a text.
func EventID16(org OrgID, source, id string) (short [16]byte) {
	text := make([]byte, 0, 128)
	for _, part := range []string{string(org), source, id} {
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	copy(short[:], sum[:])
	return short
}

// EventResult answers one event. Replica and Seq name the block that counts
// it, where it was accepted (or is known to have been).
type EventResult struct {
	Verdict EventVerdict `json:"verdict"`
	Reason  string       `json:"reason,omitempty"` // of a refusal, for people
	Replica int64        `json:"-"`
	Seq     int64        `json:"-"`
}

// EventMark says that an event is counted, and in which block.
type EventMark struct {
	ID      [16]byte // EventID16
	Body    [8]byte  // Event.Body
	Replica int64
	Seq     int64
}

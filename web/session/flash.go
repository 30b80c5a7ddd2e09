package session

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

// Flash is a message that the next page shows once.
type Flash struct {
	Tone string `json:"tone"` // ok, warn or bad
	Text string `json:"text"` // plain text; templates escape it
}

// flashLife is how long a message waits for its page.
const flashLife = time.Minute

// maxFlash bounds a message in bytes: browsers drop cookies beyond 4 KB.
const maxFlash = 1024

// sealedFlash is what the cookie holds.
type sealedFlash struct {
	Flash
	Until int64 `json:"until"` // Unix milliseconds
}

// SetFlash leaves a message for the visitor's next page. It is sealed for this
// session, so that nobody can put a text of theirs on a page of the console.
func (m *Manager) SetFlash(w http.ResponseWriter, v Visitor, message Flash) {
	if len(message.Text) > maxFlash {
		message.Text = message.Text[:maxFlash]
	}
	raw, err := json.Marshal(sealedFlash{message, m.Now().Add(flashLife).UnixMilli()})
	if err != nil {
		return // two texts and a number always marshal
	}
	m.write(w, flashCookie, base64.RawURLEncoding.EncodeToString(m.Sealer.Seal(flashPurpose(v), raw)), flashLife)
}

// TakeFlash answers the message that was left for the visitor, once.
func (m *Manager) TakeFlash(w http.ResponseWriter, r *http.Request, v Visitor) (Flash, bool) {
	value := m.read(r, flashCookie)
	if value == "" {
		return Flash{}, false
	}
	m.write(w, flashCookie, "", 0)
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return Flash{}, false
	}
	raw, err := m.Sealer.Open(flashPurpose(v), sealed)
	var message sealedFlash
	if err != nil || json.Unmarshal(raw, &message) != nil || m.Now().UnixMilli() > message.Until {
		return Flash{}, false
	}
	return message.Flash, true
}

func flashPurpose(v Visitor) string { return "flash:" + v.Session.ID() }

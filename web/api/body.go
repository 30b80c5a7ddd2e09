package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// bodyTimeout is how long a caller may take to send a body.
const bodyTimeout = 10 * time.Second

// readBody reads the whole body and puts it back, so that what follows runs
// under no deadline of the connection's: one that fires later would look like
// a client that left.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	connection := http.NewResponseController(w)
	// Not every writer has a connection; then nothing is slow either.
	_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, respond.MaxBody))
	_ = connection.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &app.Error{Kind: app.KindInvalid, Code: respond.CodeBodyTimeout,
			Message: "The body did not arrive in time.", Advice: "Send it again."}
	case errors.Is(err, io.ErrUnexpectedEOF): // the client broke off
		return nil, &app.Error{Kind: app.KindCancelled, Code: "client_left", Message: "The client left.", Err: err}
	case err != nil:
		return nil, respond.DecodeError(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

package main

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	"gatehouse/embed/openapi"
	"gatehouse/web/api"
	"gatehouse/web/respond"
)

const documentPath = "../../embed/openapi/openapi.json"

var updateDocument = flag.Bool("update-openapi", false, "write "+documentPath)

// TestTheCommittedDocumentIsCurrent compares the OpenAPI document in the
// repository with the one that is served. -update-openapi writes it.
func TestTheCommittedDocumentIsCurrent(t *testing.T) {
	responder := &respond.Responder{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	served := api.New(api.Options{Respond: responder, Now: time.Now, Extra: admissionCalls()}).Document()
	if *updateDocument {
		if err := os.WriteFile(documentPath, served, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(served, openapi.Document) {
		t.Errorf("%s is not current: go test ./cmd/gatehouse -run CommittedDocument -update-openapi", documentPath)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/app"
)

// Exit codes, as `gatehouse --help` documents them.
const (
	exitOK          = 0
	exitInternal    = 1
	exitInvalid     = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitRefused     = 5
	exitUnavailable = 6
	exitUnproven    = 7 // of `usage verify` alone: the ledger does not hold
)

// exitCode is the one table from the kind of an error to an exit code.
func exitCode(kind app.Kind) int {
	switch kind {
	case app.KindInvalid, app.KindTooLarge, app.KindMethod:
		return exitInvalid
	case app.KindNotFound:
		return exitNotFound
	case app.KindConflict:
		return exitConflict
	case app.KindUnauthenticated, app.KindForbidden, app.KindPayment, app.KindCancelled:
		return exitRefused
	case app.KindRateLimited, app.KindUnavailable, app.KindTimeout, app.KindBadGateway:
		return exitUnavailable
	}
	return exitInternal
}

// misuse is a command line that makes no sense; advice may be empty.
func misuse(advice, format string, args ...any) *app.Error {
	return &app.Error{Kind: app.KindInvalid, Code: "usage", Message: sentence(fmt.Sprintf(format, args...)), Advice: advice}
}

// seeHelp points to a command's help.
func seeHelp(cmd *cobra.Command) string { return "See `" + cmd.CommandPath() + " --help`." }

// sentence ends a message as a sentence ends.
func sentence(text string) string {
	if text == "" || strings.ContainsRune(".?!", rune(text[len(text)-1])) {
		return text
	}
	return text + "."
}

// fail tells what went wrong and returns the exit code.
func (c *cli) fail(err error) int {
	known := app.AsError(err)
	if errors.Is(err, context.Canceled) {
		known = &app.Error{Kind: app.KindCancelled, Code: "cancelled", Message: "Stopped."}
	}
	if c.json {
		c.failJSON(known)
	} else {
		c.failText(known)
	}
	if known.Code == codeUnproven {
		return exitUnproven
	}
	return exitCode(known.Kind)
}

// failText says what, why and what to do about it.
func (c *cli) failText(known *app.Error) {
	message := known.Message
	if len(known.Fields) == 1 && strings.HasPrefix(message, known.Fields[0].Field+":") {
		message = known.Fields[0].Field + " " + strings.TrimPrefix(message, known.Fields[0].Field+": ")
		known.Fields = nil
	}
	fmt.Fprintf(c.err, "Error: %s\n", message)
	for _, f := range known.Fields {
		fmt.Fprintf(c.err, "  %s: %s\n", f.Field, f.Message)
	}
	if known.Kind == app.KindInternal || known.Kind == app.KindUnavailable {
		if known.Err != nil { // whoever runs the command runs the installation
			fmt.Fprintf(c.err, "  cause: %v\n", known.Err)
		}
	}
	if known.Advice != "" {
		fmt.Fprintf(c.err, "  %s\n", known.Advice)
	}
}

// failure is the shape of an error under --json, on standard error.
type failure struct {
	Error struct {
		Code    string           `json:"code"`
		Message string           `json:"message"`
		Advice  string           `json:"advice,omitempty"`
		Cause   string           `json:"cause,omitempty"`
		Fields  []app.FieldError `json:"fields,omitempty"`
	} `json:"error"`
}

func (c *cli) failJSON(known *app.Error) {
	var f failure
	f.Error.Code, f.Error.Message, f.Error.Advice, f.Error.Fields = known.Code, known.Message, known.Advice, known.Fields
	if known.Err != nil {
		f.Error.Cause = known.Err.Error()
	}
	json.NewEncoder(c.err).Encode(f)
}

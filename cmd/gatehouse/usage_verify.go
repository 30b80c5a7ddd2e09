package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/metering"
)

// codeUnproven says that the ledger does not hold; it has an exit code of its own.
const codeUnproven = "ledger_contradicts"

// proofDocument is the shape of `usage verify --json`.
type proofDocument struct {
	OK bool `json:"ok"`
	metering.Proof
}

func (c *cli) usageVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Prove that everything counted adds up: read the whole ledger, and compare",
		Long: "Reads every block of the ledger and proves that none was changed or is missing, that usage is exactly\n" +
			"the sum of the blocks, and that quotas were charged exactly what was used. It works beside a running\n" +
			"server and without one, and changes nothing.\n\n" +
			"Exit codes: 0 everything holds, 7 it does not, others as for every command.",
		Example: "  gatehouse usage verify\n  gatehouse usage verify --json > proof.json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			ledger, err := openLedgerOf(call)
			if err != nil {
				return err
			}
			defer ledger.Close()
			proof, err := metering.Check(call.ctx, noted{ledger, c.note})
			if err != nil {
				return err
			}
			if err := c.showProof(proof); err != nil || proof.OK() {
				return err
			}
			return &app.Error{Kind: app.KindInternal, Code: codeUnproven,
				Message: fmt.Sprintf("The ledger contradicts itself in %d places.", proof.Faulty),
				Advice:  "Keep a copy of the database before anything else, and see `/docs/verify` in the manual."}
		}),
	}
}

// noted tells how far a walk is.
type noted struct {
	metering.WalkStore
	note func(format string, args ...any)
}

// noteEvery is how many blocks are read in about a second.
const noteEvery = 100_000

// WalkLedger implements metering.WalkStore.
func (n noted) WalkLedger(ctx context.Context, walk app.LedgerWalk) error {
	read, block := 0, walk.Block
	walk.Block = func(replica, seq int64, body []byte) error {
		if read++; read%noteEvery == 0 {
			n.note("Read %d blocks …", read)
		}
		return block(replica, seq, body)
	}
	return n.WalkStore.WalkLedger(ctx, walk)
}

// equation is something that holds in a sound ledger, and the faults that say
// that it does not.
type equation struct {
	says  string
	codes []string
}

func equations(p metering.Proof) []equation {
	return []equation{
		{fmt.Sprintf("%d blocks of %d runs are unchanged, complete and chained", p.Blocks, p.Replicas),
			[]string{metering.FaultBlockDamaged, metering.FaultBlockMissing, metering.FaultChainBroken}},
		{fmt.Sprintf("each of %d outcomes belongs to one of %d requests (%d have none)", p.Outcomes, p.Requests, p.Unknown),
			[]string{metering.FaultOutcomeUnmatched}},
		{fmt.Sprintf("the successful answers that the gate counted by itself (%d) are those of the ledger", p.Answered),
			[]string{metering.FaultAnswersDiffer}},
		{fmt.Sprintf("usage of requests (%d sums) is the sum of the blocks", p.Buckets), []string{metering.FaultBucketDiffers}},
		{fmt.Sprintf("usage of meters (%d sums, %d different values, %d events, %d corrections) is the sum of the blocks",
			p.Quantities, p.Members, p.Events, p.Corrected), []string{metering.FaultMeterDiffers}},
		{fmt.Sprintf("%d accounts of quotas are what the blocks drew on them, and that is what was used", p.Accounts),
			[]string{metering.FaultAccountDiffers, metering.FaultAccountOverdrawn}},
		{fmt.Sprintf("worst cases under way (%d) are those that the blocks leave open", p.Held), []string{metering.FaultHeldDiffers}},
	}
}

func (c *cli) showProof(p metering.Proof) error {
	return c.show(proofDocument{p.OK(), p}, func(t *table) {
		for _, e := range equations(p) {
			mark := "✓"
			if slices.ContainsFunc(p.Faults, func(f metering.Fault) bool { return slices.Contains(e.codes, f.Code) }) {
				mark = "✗"
			}
			t.row(mark + " " + e.says)
		}
		for _, f := range p.Faults {
			t.row(fmt.Sprintf("  %s (run %d, block %d): %s", f.Code, f.Replica, f.Seq, f.Text))
		}
		if p.Undrawn > 0 {
			t.row(fmt.Sprintf("Note: %d quotas were not in force for all of their period.", p.Undrawn))
		}
		if p.Relaxed > 0 {
			t.row(fmt.Sprintf("Note: %d runs answered before they committed (ledger.sync: relaxed).", p.Relaxed))
		}
	})
}

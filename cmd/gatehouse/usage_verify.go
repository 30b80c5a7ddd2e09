package main

import (
	"fmt"
	"slices"
	"time"

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
			proof, err := metering.CheckTold(call.ctx, ledger, c.progress(time.Now))
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

// progress tells how far a long reading is: after ten seconds, and then every
// ten.
func (c *cli) progress(now func() time.Time) func(read, of int64) {
	const every = 10 * time.Second
	began := now()
	told := began
	return func(read, of int64) {
		at := now()
		if at.Sub(told) < every || read == 0 || of == 0 {
			return
		}
		told = at
		took := at.Sub(began)
		left := time.Duration(float64(took) / float64(read) * float64(of-read))
		c.note("Read %d of %d blocks (%d %%) in %s; about %s more, and the tables.", read, of, 100*read/of,
			took.Round(time.Second), left.Round(time.Second))
	}
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
		{fmt.Sprintf("%d events are counted once each", p.Events), []string{metering.FaultEventTwice}},
		{fmt.Sprintf("%d steps in which blocks were folded are numbered without a gap", p.Steps), []string{metering.FaultStepsDiffer}},
		{fmt.Sprintf("%d accounts of quotas (and the sum of %d that were removed) are what the blocks drew on them, and that is what was used", p.Accounts, p.Pruned),
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
		if p.Unlooked > 0 {
			t.row(fmt.Sprintf("Note: %d events came again, and were too many to look whether that was within 35 days.", p.Unlooked))
		}
		if p.Relaxed > 0 {
			t.row(fmt.Sprintf("Note: %d runs answered before they committed (ledger.sync: relaxed).", p.Relaxed))
		}
	})
}

package metering

// Queued is how many requests, outcomes and corrections wait for the next
// block, together.
func (l *Ledger) Queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.intents) + len(l.settles) + len(l.adjusts)
}

package quota

// Balances is how many balances are kept in memory, and how many of them are
// looked at each time when idle room is given back.
func (e *Engine) Balances() (kept, live int) {
	for _, o := range e.all() {
		o.mu.Lock()
		kept, live = kept+len(o.balances), live+len(o.live)
		o.mu.Unlock()
	}
	return kept, live
}

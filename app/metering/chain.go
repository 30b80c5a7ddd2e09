package metering

// What a chain that is written by others than Ledger.write needs of its ledger.

// over reports whether the chain takes nothing any more.
func (l *Ledger) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing || l.fenced || l.ctx.Err() != nil
}

// turnAway refuses who comes, once the store has failed for longer than
// patience allows.
func (l *Ledger) turnAway(cause error) {
	since := l.Stats().StalledSince
	if since.IsZero() || l.o.Now().Sub(since) < l.o.Patience {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = voidGroup(cause)
	}
}

// welcome ends what turnAway began.
func (l *Ledger) welcome() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing && !l.fenced {
		l.refused = nil
	}
}

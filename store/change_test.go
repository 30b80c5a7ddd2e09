package store

import "testing"

func TestOpenAnswers(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := openStore(t, again)
		if seq, err := other.LastChange(t.Context()); err != nil || seq != 0 {
			t.Fatalf("a new database is at change %d, %v", seq, err)
		}
	})
}

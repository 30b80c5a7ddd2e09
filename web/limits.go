package web

import "time"

// Limits of a listener against clients that take too much of it. Zero values
// stand for the defaults.
type Limits struct {
	Connections  int           // open at once; 0 is unlimited
	PerAddress   int           // open at once from one peer address; 0 is unlimited
	HeaderBytes  int           // of a request's head, and of its trailer; default 64 KiB
	HeaderFields int           // in a request's head; default 100, as Apache httpd
	ReadHeader   time.Duration // a head must have come by then; default 10 s
	Idle         time.Duration // a connection without a request; default 2 min
	BodyIdle     time.Duration // a body without a byte; default 60 s, as nginx
	BodyRate     int64         // bytes/s of a body of known length after BodyIdle; default 240, as Kestrel; below 0 is none
	WriteIdle    time.Duration // a client that takes nothing of its answer; default 60 s, as nginx
	Linger       time.Duration // for what a refused client still sends; default 1 s
	Streams      int           // HTTP/2 requests at once on a connection; default 250

	http2 bool // HTTP/2 without TLS is served
}

func (l Limits) withDefaults() Limits {
	set := func(value *time.Duration, otherwise time.Duration) {
		if *value <= 0 {
			*value = otherwise
		}
	}
	set(&l.ReadHeader, 10*time.Second)
	set(&l.Idle, 2*time.Minute)
	set(&l.BodyIdle, time.Minute)
	set(&l.WriteIdle, time.Minute)
	set(&l.Linger, time.Second)
	if l.HeaderBytes <= 0 {
		l.HeaderBytes = 64 << 10
	}
	if l.HeaderFields <= 0 {
		l.HeaderFields = 100
	}
	if l.BodyRate == 0 {
		l.BodyRate = 240
	}
	if l.Streams <= 0 {
		l.Streams = 250
	}
	l.http2 = true
	return l
}

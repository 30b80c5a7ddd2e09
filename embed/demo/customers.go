package demo

import (
	"math/rand/v2"
	"time"
)

// Shape is how a customer's requests are spread over time.
type Shape string

// Shapes of traffic.
const (
	ShapeSteady  Shape = "steady"  // at random around its rate
	ShapeBursty  Shape = "bursty"  // silent, then many at once
	ShapeOver    Shape = "over"    // several times what its plan allows
	ShapeAbusive Shape = "abusive" // invented keys, from addresses of its own
)

// Customer is an organization of the demo.
type Customer struct {
	Name      string
	Plan      string // slug in the shipped catalogue
	Shape     Shape
	Rate      float64 // requests a second, on average
	Suspended bool
}

// Customers returns the organizations of the demo, on all shipped plans. Their
// rates fit their plans' hourly limits, except where the shape says otherwise.
func Customers() []Customer {
	return []Customer{
		{Name: "Northwind Freight", Plan: "enterprise", Shape: ShapeSteady, Rate: 14},
		{Name: "Helios Robotics", Plan: "enterprise", Shape: ShapeBursty, Rate: 8},
		{Name: "Acme Inc", Plan: "pro", Shape: ShapeSteady, Rate: 2.4},
		{Name: "Blue Harbor Insurance", Plan: "pro", Shape: ShapeSteady, Rate: 1.8},
		{Name: "Kestrel Analytics", Plan: "pro", Shape: ShapeBursty, Rate: 2.2},
		{Name: "Quill & Paper", Plan: "starter", Shape: ShapeSteady, Rate: 0.25},
		{Name: "Orchard Foods", Plan: "starter", Shape: ShapeBursty, Rate: 0.2},
		{Name: "Tidewater Clinic", Plan: "starter", Shape: ShapeOver, Rate: 4},
		{Name: "Solo Studio", Plan: "free", Shape: ShapeSteady, Rate: 0.02},
		{Name: "Weekend Project", Plan: "free", Shape: ShapeOver, Rate: 1.5},
		{Name: "Lapsed Ltd", Plan: "starter", Shape: ShapeSteady, Rate: 0.1, Suspended: true},
	}
}

// Client is a customer that holds a key.
type Client struct {
	Customer
	Key     string // empty: it invents one for each request
	Address string // what it gives as X-Forwarded-For
}

// Stranger returns the client that has no account and tries invented keys.
func Stranger() Client {
	return Client{Customer: Customer{Name: "(stranger)", Shape: ShapeAbusive, Rate: 4}}
}

// A bursty customer is silent for burstQuiet of each burstPeriod, and sends all
// that its rate gives it in the rest.
const (
	burstPeriod = 20 * time.Second
	burstLength = 4 * time.Second
)

// rate is how many requests a second the customer wants to send at a moment
// since the start.
func (c Customer) rate(since time.Duration) float64 {
	if c.Shape != ShapeBursty {
		return c.Rate
	}
	// Each customer's bursts lie elsewhere, by the length of its name.
	at := (since + time.Duration(len(c.Name))*time.Second) % burstPeriod
	if at >= burstLength {
		return 0
	}
	return c.Rate * float64(burstPeriod) / float64(burstLength)
}

// pause is how long the customer waits until its next request. Pauses are
// exponential, as requests of independent people are.
func (c Customer) pause(since time.Duration, random *rand.Rand) time.Duration {
	rate := c.rate(since)
	if rate <= 0 {
		return 250 * time.Millisecond // look again soon
	}
	return min(time.Duration(random.ExpFloat64()/rate*float64(time.Second)), time.Minute)
}

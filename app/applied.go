package app

// Applied says, by slug or name, what applying a file did or found.
type Applied struct {
	Created   []string `json:"created,omitempty"`
	Updated   []string `json:"updated,omitempty"`
	Unchanged []string `json:"unchanged,omitempty"`
	Removed   []string `json:"removed,omitempty"`
}

// RoutingApplied says what applying a set of upstreams and routes did.
type RoutingApplied struct {
	Upstreams Applied `json:"upstreams"`
	Routes    Applied `json:"routes"`
}

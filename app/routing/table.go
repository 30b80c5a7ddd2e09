package routing

import (
	"cmp"
	"slices"
	"strings"

	"gatehouse/app"
)

// Table finds the route of a request. It never changes, so any number of
// goroutines may use it.
type Table struct {
	exact     map[string]*group // by host in lower case
	wildcards []wildcard        // the longest first
	any       *group            // routes of any host
	closed    []closedPaths     // by route
	plain     bool              // every prefix reads the same strictly and loosely
}

// wildcard holds the routes of "*.example.com": hosts of one or more labels
// before the suffix.
type wildcard struct {
	suffix string // ".example.com"
	group  *group
}

// group holds the routes of one host pattern, by both readings of their prefix.
type group struct{ strict, loose node }

// node is one segment in a tree of prefixes.
type node struct {
	next  map[string]*node
	rules []rule // whose prefix ends here, those with methods first, then by name
}

type rule struct {
	route   int
	name    string
	methods []string // none is any
}

// closedPaths are a route's closed prefixes in both readings.
type closedPaths struct{ strict, loose []string }

// Found is the answer of a table.
type Found struct {
	Route  int  // the index in what Compile was given; -1: no route
	Closed bool // the route answers 404 to this path
}

// Compile builds a table of the routes. The most specific wins: exact host
// before wildcard before any, then the longest prefix, then one with methods
// before one without, then the name. A route for GET answers HEAD too.
func Compile(routes []app.Route) *Table {
	t := &Table{exact: map[string]*group{}, any: &group{}, plain: true}
	for i, r := range routes {
		t.closed = append(t.closed, closedPaths{})
		for _, prefix := range r.Closed {
			strict, loose := t.readPrefix(prefix)
			t.closed[i].strict = append(t.closed[i].strict, strict)
			t.closed[i].loose = append(t.closed[i].loose, loose)
		}
		strict, loose := t.readPrefix(r.PathPrefix)
		for _, g := range t.groups(r.Hosts) {
			g.strict.add(strict, rule{i, r.Name, r.Methods})
			g.loose.add(loose, rule{i, r.Name, r.Methods})
		}
	}
	slices.SortFunc(t.wildcards, func(a, b wildcard) int { return cmp.Compare(len(b.suffix), len(a.suffix)) })
	return t
}

// readPrefix reads a prefix in both ways, and notes if they differ.
func (t *Table) readPrefix(prefix string) (strict, loose string) {
	strict = segments(prefix)
	out, err := readLoosely(nil, strings.ReplaceAll(prefix, "%", "%25"))
	if loose = string(out); err != nil { // refused by Set.Check; such a path never arrives
		loose = strict
	}
	t.plain = t.plain && strict == loose && isPlain(strings.TrimSuffix(prefix, "/"))
	return strict, loose
}

// groups finds or makes the groups of host patterns.
func (t *Table) groups(hosts []string) []*group {
	if len(hosts) == 0 {
		return []*group{t.any}
	}
	var found []*group
	for _, host := range hosts {
		found = append(found, t.group(hostName(host)))
	}
	return found
}

func (t *Table) group(host string) *group {
	suffix, isWildcard := strings.CutPrefix(host, "*")
	if !isWildcard {
		if t.exact[host] == nil {
			t.exact[host] = &group{}
		}
		return t.exact[host]
	}
	for _, w := range t.wildcards {
		if w.suffix == suffix {
			return w.group
		}
	}
	t.wildcards = append(t.wildcards, wildcard{suffix, &group{}})
	return t.wildcards[len(t.wildcards)-1].group
}

// add puts a rule at the end of its prefix.
func (n *node) add(prefix string, r rule) {
	for segment := range strings.SplitSeq(strings.TrimPrefix(prefix, "\x00"), "\x00") {
		if segment == "" { // the prefix /
			break
		}
		if n.next == nil {
			n.next = map[string]*node{}
		}
		if n.next[segment] == nil {
			n.next[segment] = &node{}
		}
		n = n.next[segment]
	}
	n.rules = append(n.rules, r)
	slices.SortStableFunc(n.rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(min(len(b.methods), 1), min(len(a.methods), 1)), cmp.Compare(a.name, b.name))
	})
}

// Find finds the route of a request by its method, its Host header and its
// path as the client escaped it (URL.EscapedPath); an empty path is /. It
// allocates nothing but errors. Errors are those of the package's
// documentation, all of the kind invalid.
func (t *Table) Find(method, host, escaped string) (Found, error) {
	host = hostName(host)
	if escaped != "" && escaped[0] != '/' {
		return Found{Route: -1}, errMalformed()
	}
	if t.plain && isPlain(escaped) {
		route := find(t, host, method, escaped, '/', strictly)
		return Found{route, route >= 0 && covers(t.closed[route].strict, escaped, '/')}, nil
	}
	// Paths that are longer go to the heap.
	var strictRoom, looseRoom [256]byte
	strict, err := readStrictly(strictRoom[:0], escaped)
	if err != nil {
		return Found{Route: -1}, err
	}
	loose, err := readLoosely(looseRoom[:0], escaped)
	if err != nil {
		return Found{Route: -1}, err
	}
	route := find(t, host, method, strict, separator, strictly)
	if other := find(t, host, method, loose, separator, loosely); other != route {
		return Found{Route: -1}, errAmbiguous()
	}
	closed := route >= 0 && (covers(t.closed[route].strict, strict, separator) || covers(t.closed[route].loose, loose, separator))
	return Found{route, closed}, nil
}

func strictly(g *group) *node { return &g.strict }
func loosely(g *group) *node  { return &g.loose }

// find looks in the groups of the host, the most specific first.
func find[P string | []byte](t *Table, host, method string, path P, cut byte, tree func(*group) *node) int {
	if g := t.exact[host]; g != nil {
		if route := walk(tree(g), method, path, cut); route >= 0 {
			return route
		}
	}
	for _, w := range t.wildcards {
		if len(host) > len(w.suffix) && strings.HasSuffix(host, w.suffix) {
			if route := walk(tree(w.group), method, path, cut); route >= 0 {
				return route
			}
		}
	}
	return walk(tree(t.any), method, path, cut)
}

// walk follows the path's segments down the tree as far as it goes.
func walk[P string | []byte](n *node, method string, path P, cut byte) int {
	best := n.route(method)
	for start := 0; start < len(path) && n.next != nil; {
		start++ // over the /
		end := start
		for end < len(path) && path[end] != cut {
			end++
		}
		n = n.next[string(path[start:end])]
		if n == nil {
			break
		}
		if route := n.route(method); route >= 0 {
			best = route
		}
		start = end
	}
	return best
}

// route is the first rule that allows the method, or -1.
func (n *node) route(method string) int {
	for i := range n.rules {
		if r := &n.rules[i]; len(r.methods) == 0 || slices.Contains(r.methods, method) ||
			method == "HEAD" && slices.Contains(r.methods, "GET") {
			return r.route
		}
	}
	return -1
}

// covers reports whether one of the prefixes covers the path by whole segments.
func covers[P string | []byte](prefixes []string, path P, cut byte) bool {
	for _, prefix := range prefixes {
		if begins(path, prefix, cut) {
			return true
		}
	}
	return false
}

// begins compares a path that is cut at cut with a prefix cut at separator.
func begins[P string | []byte](path P, prefix string, cut byte) bool {
	if len(path) < len(prefix) {
		return false
	}
	for i := 0; i < len(prefix); i++ {
		if path[i] != prefix[i] && (prefix[i] != separator || path[i] != cut) {
			return false
		}
	}
	return len(path) == len(prefix) || path[len(prefix)] == cut
}

// hostName is a host in lower case without port, brackets and final dot.
func hostName(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok { // [2001:db8::1]:8080
		host, _, _ = strings.Cut(rest, "]")
	} else if i := strings.IndexByte(host, ':'); i >= 0 && i == strings.LastIndexByte(host, ':') {
		host = host[:i] // more than one colon is an IPv6 address without a port
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

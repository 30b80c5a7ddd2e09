// Command bench measures Gatehouse side by side with what it is compared to:
// the upstream alone, a bare httputil.ReverseProxy, nginx with limits and
// auth_request, and Caddy with forward_auth. All are up at once; rounds are
// interleaved; the table shows medians. ../bench.sh builds and runs it.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// plan is what one run measures.
type plan struct {
	gatehouse, caddy string // binaries; empty: left out
	delays           []string
	connections      []int
	answer           string // 1k, 64k or stream
	rounds           int
	length           time.Duration
}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		if serve, ok := helpers()[os.Args[1]]; ok {
			log.Fatal(serve(os.Args[2:]))
		}
	}
	p := readFlags()
	if err := run(p); err != nil {
		log.Fatal("bench: ", err)
	}
}

func readFlags() plan {
	var p plan
	var connections, delays string
	flag.StringVar(&p.gatehouse, "gatehouse", "", "path of the gatehouse binary")
	flag.StringVar(&p.caddy, "caddy", "", "path of the caddy binary")
	flag.StringVar(&connections, "connections", "1,64,256", "connections at once")
	flag.StringVar(&delays, "upstreams", "fast,5ms", "upstreams: fast (about 50 µs) or a delay")
	flag.StringVar(&p.answer, "answer", "1k", "what the upstream answers: 1k, 64k or stream")
	flag.IntVar(&p.rounds, "rounds", 5, "rounds, of which the median counts")
	flag.DurationVar(&p.length, "length", 2*time.Second, "length of one measurement")
	flag.Parse()
	p.delays = strings.Split(delays, ",")
	for _, word := range strings.Split(connections, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			log.Fatalf("bench: %q is not a number of connections", word)
		}
		p.connections = append(p.connections, n)
	}
	return p
}

// run starts everybody, measures, prints, and stops everybody.
func run(p plan) error {
	stage, err := newStage()
	if err != nil {
		return err
	}
	defer stage.close()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		stage.close()
		os.Exit(130)
	}()
	contestants, err := stage.start(p)
	if err != nil {
		return err
	}
	results, err := measure(p, contestants)
	if err != nil {
		return err
	}
	fmt.Println(machine())
	for _, delay := range p.delays {
		printTable(os.Stdout, p, delay, contestants, results)
	}
	return nil
}

// measure warms everybody up, then goes round by round, so that a slow moment
// of the machine hits all alike.
func measure(p plan, contestants []contestant) (*results, error) {
	r := &results{runs: map[cell][]sample{}}
	for _, c := range contestants {
		if _, err := c.load("/fast/"+p.answer, 16, p.length/2); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for round := range p.rounds {
		for _, delay := range p.delays {
			for _, connections := range p.connections {
				for _, c := range contestants {
					log.Printf("round %d of %d: %s, upstream %s, %d connections", round+1, p.rounds, c.name, delay, connections)
					s, err := c.load("/"+delay+"/"+p.answer, connections, p.length)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", c.name, err)
					}
					at := cell{c.name, delay, connections}
					r.runs[at] = append(r.runs[at], s)
				}
			}
		}
	}
	return r, nil
}

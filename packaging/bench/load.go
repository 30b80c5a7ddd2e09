package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// sample is one measurement of one contestant.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the gate's processes, per request
	memory    int64         // bytes of the gate's processes at the end
}

// load sends requests over so many connections for a while. Any answer but
// 200 fails the run: a refusing gate is quick.
func (c contestant) load(path string, connections int, length time.Duration) (sample, error) {
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + c.address + "\r\n" + c.header + "\r\n")
	took := make([][]time.Duration, connections)
	errs := make([]error, connections)
	var all sync.WaitGroup
	before, start := cpuOf(c.pids), time.Now()
	end := start.Add(length)
	for i := range connections {
		all.Go(func() { took[i], errs[i] = drive(c.address, request, end) })
	}
	all.Wait()
	elapsed, used := time.Since(start), cpuOf(c.pids)-before
	every := slices.Concat(took...)
	if err := errors.Join(errs...); err != nil || len(every) == 0 {
		return sample{}, fmt.Errorf("after %d answers: %w", len(every), err)
	}
	slices.Sort(every)
	return sample{
		perSecond: float64(len(every)) / elapsed.Seconds(),
		p50:       every[len(every)/2],
		p99:       every[len(every)*99/100],
		cpu:       used / time.Duration(len(every)),
		memory:    memoryOf(c.pids),
	}, nil
}

// drive keeps one connection busy until the end.
func drive(address string, request []byte, end time.Time) (took []time.Duration, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(end.Add(10 * time.Second))
	reader := bufio.NewReaderSize(conn, 32<<10)
	for now := time.Now(); now.Before(end); {
		if _, err := conn.Write(request); err != nil {
			return took, err
		}
		if err := readAnswer(reader); err != nil {
			return took, err
		}
		then := time.Now()
		took = append(took, then.Sub(now))
		now = then
	}
	return took, nil
}

// readAnswer reads one answer to its end, with as little work as possible.
func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %q", bytes.TrimSpace(line))
	}
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := field(line, "content-length:"); ok {
			length, _ = strconv.Atoi(value)
		} else if value, ok := field(line, "transfer-encoding:"); ok {
			chunked = value == "chunked"
		}
	}
	if !chunked {
		_, err := r.Discard(length)
		return err
	}
	return discardChunks(r)
}

func field(line []byte, name string) (string, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return "", false
	}
	return string(bytes.TrimSpace(line[len(name):])), true
}

func discardChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		if _, err := r.Discard(int(size) + 2); err != nil {
			return err
		}
		if size == 0 {
			return nil
		}
	}
}

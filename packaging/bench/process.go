package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU time in /proc/PID/stat (USER_HZ, 100 on every
// Linux that Go runs on).
const clockTick = 10 * time.Millisecond

// cpuOf is the CPU time that the processes and their children have used.
func cpuOf(pids []int) (sum time.Duration) {
	for _, pid := range tree(pids) {
		if fields := statOf(pid); len(fields) > 12 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			sum += time.Duration(user+system) * clockTick
		}
	}
	return sum
}

// memoryOf is the proportional share of memory of the processes and their
// children, in bytes.
func memoryOf(pids []int) (sum int64) {
	for _, pid := range tree(pids) {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for _, line := range strings.Split(string(raw), "\n") {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

// tree adds the children of the processes, of every generation.
func tree(pids []int) []int {
	all := append([]int(nil), pids...)
	for i := 0; i < len(all); i++ {
		children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, file := range children {
			raw, _ := os.ReadFile(file)
			for _, word := range strings.Fields(string(raw)) {
				if pid, err := strconv.Atoi(word); err == nil {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

// statOf returns the fields of /proc/PID/stat behind the name, which may hold
// spaces: [0] is the state, [11] and [12] user and system time.
func statOf(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
}

// machine describes where the figures come from.
func machine() string {
	model := "unknown processor"
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(raw), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d cores (%s), %s, %s. Generator, upstream and gate share them.",
		runtime.NumCPU(), model, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version())
}

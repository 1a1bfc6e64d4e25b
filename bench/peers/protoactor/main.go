// The rig of Proto.Actor for Go. It takes the orders that are described in bench/rig/src/protocol.rs from its standard
// input, and its programs do what those in bench/rig/src/programs do.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"
)

// What a program has cost.
type sample struct {
	Operations  int64  `json:"operations"`
	WallNs      int64  `json:"wall_ns"`
	CPUNs       int64  `json:"cpu_ns"`
	P999Ns      *int64 `json:"p999_ns,omitempty"`
	Overtaken   *int64 `json:"overtaken,omitempty"`
	Bytes       *int64 `json:"bytes,omitempty"`
	JitterP99Ns *int64 `json:"jitter_p99_ns,omitempty"`
}

type failure struct {
	Error string `json:"error"`
}

type stopwatch struct {
	begun time.Time
	cpu   int64
}

func start() stopwatch {
	return stopwatch{begun: time.Now(), cpu: ownCPU()}
}

func (s stopwatch) stop(operations int64) sample {
	wall := time.Since(s.begun)
	return sample{Operations: operations, WallNs: wall.Nanoseconds(), CPUNs: ownCPU() - s.cpu}
}

// User and system time of this process in nanoseconds.
func ownCPU() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func main() {
	stage := newStage()
	orders := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for orders.Scan() {
		var program string
		var n int64
		var answer any
		if _, err := fmt.Sscanf(orders.Text(), "run %s %d", &program, &n); err != nil {
			answer = failure{fmt.Sprintf("an order is `run PROGRAM N`: %v", err)}
		} else if sample, err := stage.run(program, n); err != nil {
			answer = failure{err.Error()}
		} else {
			answer = sample
		}
		if err := answers.Encode(answer); err != nil {
			panic(err)
		}
	}
}

// SPDX-License-Identifier: MIT

// Go's side of bench/structure: does n operations of a case on request, on one processor, and
// tells the CPU time.  One line each way; see structure_anyc.c, which does the same.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	room    = 128
	batch   = 1000
	parked  = 100000
	pending = 10000
)

// -------------------------------------------------------------------------------- measuring

var started, ended int64
var away int64 // preemptions meanwhile
var operations int

func cpu() int64 {
	const processCPU = 2
	var ts syscall.Timespec

	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, processCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// A case that has something to prepare or to clear away keeps it out of the time.
func begin() {
	away = preemptions()
	started = cpu()
}

func end() {
	ended = cpu()
	away = preemptions() - away
}

func preemptions() int64 {
	var usage syscall.Rusage

	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Nivcsw
}

// ----------------------------------------------------------------------------------- queues

func oneWay(n, capacity int) {
	items := make(chan uint64, capacity)

	go func() {
		for i := 0; i < n; i++ {
			items <- uint64(i)
		}
		close(items)
	}()
	for range items {
	}
}

func roundTrips(n int) {
	questions, answers := make(chan uint64), make(chan uint64)

	go func() {
		for item := range questions {
			answers <- item
		}
		close(answers)
	}()
	for i := 0; i < n; i++ {
		questions <- uint64(i)
		<-answers
	}
	close(questions)
	<-answers
}

// ---------------------------------------------------------------------------- locks, events

var mutex sync.Mutex

func locks(n int) {
	for i := 0; i < n; i++ {
		mutex.Lock()
		mutex.Unlock()
	}
}

// A channel is closed once, as an event is set once: whoever was woken makes a new one.
func events(n int) {
	ping, pong := make(chan struct{}), make(chan struct{})

	go func() {
		for i := 0; i < n/2; i++ {
			<-ping
			ping = make(chan struct{})
			close(pong)
		}
	}()
	for i := 0; i < n/2; i++ {
		close(ping)
		<-pong
		pong = make(chan struct{})
	}
}

// --------------------------------------------------------------------- deadlines and timers

func deadlines(n int) {
	for i := 0; i < n; i++ {
		_, cancel := context.WithTimeout(context.Background(), time.Minute)
		cancel()
	}
}

func never() {
	panic("a timer has fired")
}

var random uint32 = 1

func delay() time.Duration {
	random ^= random << 13
	random ^= random >> 17
	random ^= random << 5
	return 600*time.Second + time.Duration(random%1000000)*time.Millisecond
}

func timers(n int) {
	others := make([]*time.Timer, pending)
	for i := range others {
		others[i] = time.AfterFunc(delay(), never)
	}
	timer := time.AfterFunc(delay(), never)
	timer.Stop()
	begin()
	for i := 0; i < n; i++ {
		timer.Reset(delay())
		timer.Stop()
	}
	end()
	for i := range others {
		others[i].Stop()
	}
}

// ------------------------------------------------------------------------------------ tasks

func spawnAndJoin(n int) {
	var group sync.WaitGroup

	for i := 0; i < n; i++ {
		group.Add(1)
		go func() { group.Done() }()
		group.Wait()
	}
}

func spawnBatches(n int) {
	for ; n > 0; n -= batch {
		var group sync.WaitGroup

		for i := 0; i < batch; i++ {
			group.Add(1)
			go func() { group.Done() }()
		}
		group.Wait()
	}
}

func cancelParked(n int) {
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())

	group.Add(parked)
	for i := 0; i < parked; i++ {
		go func() {
			<-ctx.Done()
			group.Done()
		}()
	}
	runtime.Gosched()
	begin()
	cancel()
	group.Wait()
	end()
	operations = parked
}

// --------------------------------------------------------------------------------- requests

var cases = map[string]func(int){
	"buffered":   func(n int) { oneWay(n, room) },
	"rendezvous": func(n int) { oneWay(n, 0) },
	"roundtrip":  roundTrips,
	"lock":       locks,
	"event":      events,
	"deadline":   deadlines,
	"spawn":      spawnAndJoin,
	"batch":      spawnBatches,
	"cancel":     cancelParked,
	"timer":      timers,
}

func main() {
	requests := bufio.NewScanner(os.Stdin)

	runtime.GOMAXPROCS(1)
	for requests.Scan() {
		var name string
		var n int

		fmt.Sscanf(requests.Text(), "%s %d", &name, &n)
		run := cases[name]
		if run == nil {
			fmt.Fprintln(os.Stderr, "bench: Go knows no case", name)
			os.Exit(1)
		}
		operations = n
		ended = 0
		begin()
		run(n)
		if ended == 0 {
			end()
		}
		fmt.Println(ended-started, operations, away)
	}
}

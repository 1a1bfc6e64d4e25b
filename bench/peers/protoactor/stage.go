package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Longer than anything takes.
const timeout = 5 * time.Minute

// The system with the actors that its programs have used so far: they are made outside of what is measured.
type stage struct {
	system *actor.ActorSystem
	root   *actor.RootContext
	actors []*actor.PID
	named  bool
	runs   int
}

func newStage() *stage {
	quiet := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
	system := actor.NewActorSystem(actor.WithLoggerFactory(quiet))
	return &stage{system: system, root: system.Root}
}

func (s *stage) run(program string, n int64) (sample, error) {
	s.runs++
	switch program {
	case "ping":
		return s.ping(n)
	case "hot":
		return s.hot(n)
	case "random":
		return s.random(n)
	case "one-way":
		return s.oneWay(n)
	case "fan-out-10":
		return s.fanOut(n, 10)
	case "fan-out-1000":
		return s.fanOut(n, 1000)
	case "skynet":
		return s.skynet(n)
	case "activation":
		return s.activation(n)
	case "idle":
		return s.idle(n)
	case "ticks":
		return s.ticks(n)
	}
	return sample{}, fmt.Errorf("there is no program %q", program)
}

// An actor is a number: a message adds to it, a reply tells the total.
type adder struct{ total int64 }

type ask struct{ by int64 }

type tell struct{ by int64 }

func (a *adder) Receive(cx actor.Context) {
	switch message := cx.Message().(type) {
	case *ask:
		a.total += message.by
		cx.Respond(a.total)
	case *tell:
		a.total += message.by
	}
}

var adders = actor.PropsFromProducer(func() actor.Actor { return &adder{} })

// The first so many actors.
func (s *stage) first(count int) []*actor.PID {
	for len(s.actors) < count {
		s.actors = append(s.actors, s.root.Spawn(adders))
	}
	return s.actors[:count]
}

func (s *stage) begin(pid *actor.PID, by int64) *actor.Future {
	return s.root.RequestFuture(pid, &ask{by}, timeout)
}

func total(future *actor.Future) (int64, error) {
	reply, err := future.Result()
	if err != nil {
		return 0, err
	}
	total, ok := reply.(int64)
	if !ok {
		return 0, fmt.Errorf("the reply is %v", reply)
	}
	return total, nil
}

func (s *stage) ask(pid *actor.PID, by int64) (int64, error) {
	return total(s.begin(pid, by))
}

// Runs so many callers at once and waits for all; the first error counts.
func callers(count int, work func(number int) error) error {
	errors := make(chan error, count)
	var running sync.WaitGroup
	for number := 0; number < count; number++ {
		running.Add(1)
		go func(number int) {
			defer running.Done()
			if err := work(number); err != nil {
				errors <- err
			}
		}(number)
	}
	running.Wait()
	close(errors)
	return <-errors
}

// So many that each of `parts` gets as many, and all together at least n.
func each(n, parts int64) int64 {
	return (n + parts - 1) / parts
}

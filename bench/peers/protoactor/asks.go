package main

import (
	"fmt"
	"math/rand"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	pinging      = 100
	asking       = 64
	randomActors = 100_000
	unanswered   = 500
)

func (s *stage) ping(n int64) (sample, error) {
	actors, each := s.first(pinging), each(n, pinging)
	watch := start()
	err := callers(pinging, func(number int) error {
		for i := int64(0); i < each; i++ {
			if _, err := s.ask(actors[number], 1); err != nil {
				return err
			}
		}
		return nil
	})
	return watch.stop(each * pinging), err
}

// The id of an actor is its name; a PID that was made from it finds its actor when it is first used.
func (s *stage) random(n int64) (sample, error) {
	keys := make([]string, min(randomActors, n))
	for i := range keys {
		keys[i] = fmt.Sprintf("named-%06d", i)
	}
	if !s.named {
		s.named = true
		for _, key := range keys {
			if _, err := s.root.SpawnNamed(adders, key); err != nil {
				return sample{}, err
			}
		}
	}
	each := each(n, asking)
	watch := start()
	err := callers(asking, func(int) error {
		for i := int64(0); i < each; i++ {
			pid := s.system.NewLocalPID(keys[rand.Intn(len(keys))])
			if _, err := s.ask(pid, 1); err != nil {
				return err
			}
		}
		return nil
	})
	return watch.stop(each * asking), err
}

func (s *stage) oneWay(n int64) (sample, error) {
	to := s.first(1)[0]
	before, err := s.ask(to, 0)
	if err != nil {
		return sample{}, err
	}
	watch := start()
	for i := int64(1); i <= n; i++ {
		s.root.Send(to, &tell{1})
		if i%unanswered == 0 || i == n {
			if total, err := s.ask(to, 0); err != nil || total != before+i {
				return sample{}, fmt.Errorf("%d messages have made %d to %d: %v", i, before, total, err)
			}
		}
	}
	return watch.stop(n), nil
}

func (s *stage) fanOut(n int64, width int) (sample, error) {
	actors := s.first(width)
	futures := make([]*actor.Future, width)
	watch := start()
	for i := int64(0); i < n; i++ {
		for number, to := range actors {
			futures[number] = s.begin(to, 1)
		}
		for _, future := range futures {
			if _, err := total(future); err != nil {
				return sample{}, err
			}
		}
	}
	return watch.stop(n), nil
}

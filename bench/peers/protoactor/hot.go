package main

import (
	"sort"
	"sync/atomic"
	"time"
)

const hotCallers = 256

// What is known of a call when it has its reply; see bench/rig/src/programs/hot.rs.
type call struct {
	begun, waited, turn, took int64
}

func (s *stage) hot(n int64) (sample, error) {
	to, each := s.first(1)[0], each(n, hotCallers)
	watch := start()
	err := callers(hotCallers, func(int) error {
		for i := int64(0); i < each; i++ {
			if _, err := s.ask(to, 1); err != nil {
				return err
			}
		}
		return nil
	})
	cost := watch.stop(each * hotCallers)
	if err != nil {
		return cost, err
	}
	first, err := s.ask(to, 0)
	if err != nil {
		return cost, err
	}
	var numbers atomic.Int64
	calls := make([]call, each*hotCallers)
	err = callers(hotCallers, func(number int) error {
		for i := int64(0); i < each; i++ {
			started, begun := time.Now(), numbers.Add(1)
			future := s.begin(to, 1)
			waited := numbers.Add(1)
			total, err := total(future)
			if err != nil {
				return err
			}
			took := time.Since(started).Nanoseconds()
			calls[int64(number)*each+i] = call{begun, waited, total - first, took}
		}
		return nil
	})
	slowest, overtaken := p999(calls), mostOvertaken(calls)
	cost.P999Ns, cost.Overtaken = &slowest, &overtaken
	return cost, err
}

func p999(calls []call) int64 {
	took := make([]int64, len(calls))
	for i, call := range calls {
		took[i] = call.took
	}
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	return took[len(took)*999/1000]
}

// From the call that waited last to the first, with the turns of all later calls in a Fenwick tree.
func mostOvertaken(calls []call) int64 {
	byBegin := append([]call(nil), calls...)
	sort.Slice(byBegin, func(a, b int) bool { return byBegin[a].begun > byBegin[b].begun })
	waiting := append([]call(nil), calls...)
	sort.Slice(waiting, func(a, b int) bool { return waiting[a].waited > waiting[b].waited })
	later := make([]int64, len(calls)+1)
	next, most := 0, int64(0)
	for _, call := range waiting {
		for ; next < len(byBegin) && byBegin[next].begun > call.waited; next++ {
			for i := byBegin[next].turn; i < int64(len(later)); i += i & -i {
				later[i]++
			}
		}
		before := int64(0)
		for i := call.turn - 1; i > 0; i &= i - 1 {
			before += later[i]
		}
		most = max(most, before)
	}
	return most
}

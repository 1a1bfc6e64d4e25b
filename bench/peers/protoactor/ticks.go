package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
)

const (
	ticksPerSecond = 30
	period         = time.Second / ticksPerSecond
	measured       = 5 * time.Second
	settled        = time.Second
	step           = 100 * time.Microsecond
)

// How many ticks had a jitter of so many steps; the last one counts all that had more.
var jitter [1000]atomic.Int64

type ticker struct{ last time.Time }

type tick struct{}

func (t *ticker) Receive(cx actor.Context) {
	if _, ok := cx.Message().(*tick); !ok {
		return
	}
	now := time.Now()
	if !t.last.IsZero() {
		late := (now.Sub(t.last) - period).Abs()
		jitter[min(int(late/step), len(jitter)-1)].Add(1)
	}
	t.last = now
}

func (s *stage) ticks(n int64) (sample, error) {
	timer := scheduler.NewTimerScheduler(s.root)
	props := actor.PropsFromProducer(func() actor.Actor { return &ticker{} })
	for i := int64(0); i < n; i++ {
		timer.SendRepeatedly(period*time.Duration(i)/time.Duration(n), period, s.root.Spawn(props), &tick{})
	}
	time.Sleep(settled)
	for i := range jitter {
		jitter[i].Store(0)
	}
	watch := start()
	time.Sleep(measured)
	count, below, p99 := int64(0), int64(0), int64(0)
	for i := range jitter {
		count += jitter[i].Load()
	}
	cost := watch.stop(count)
	for i := range jitter {
		if below += jitter[i].Load(); below*100 >= count*99 {
			p99 = int64(i+1) * int64(step)
			break
		}
	}
	if expected := n * ticksPerSecond * cost.WallNs / 1e9; count <= expected/2 {
		return cost, fmt.Errorf("%d ticks instead of %d", count, expected)
	}
	cost.JitterP99Ns = &p99
	return cost, nil
}

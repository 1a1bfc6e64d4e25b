package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	activating = 64
	stateBytes = 8
	pidBytes   = 8
)

func (s *stage) activation(n int64) (sample, error) {
	each := each(n, activating)
	watch := start()
	err := callers(activating, func(int) error {
		for i := int64(0); i < each; i++ {
			// Its registry holds it.
			if total, err := s.ask(s.root.Spawn(adders), 1); err != nil || total != 1 {
				return fmt.Errorf("the total of a new actor is %d: %v", total, err)
			}
		}
		return nil
	})
	return watch.stop(each * activating), err
}

func (s *stage) idle(n int64) (sample, error) {
	if _, err := s.ask(s.root.Spawn(adders), 1); err != nil {
		return sample{}, err
	}
	watch := start()
	before, err := residentBytes()
	if err != nil {
		return sample{}, err
	}
	kept := make([]*actor.PID, n)
	for i := range kept {
		kept[i] = s.root.Spawn(adders)
		if _, err := s.ask(kept[i], 1); err != nil {
			return sample{}, err
		}
	}
	after, err := residentBytes()
	if err != nil {
		return sample{}, err
	}
	cost := watch.stop(n)
	bytes := (after-before)/n - stateBytes - pidBytes
	cost.Bytes = &bytes
	runtime.KeepAlive(kept)
	return cost, nil
}

// Resident memory after a collection that gives back what it can.
func residentBytes() (int64, error) {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, line, found := strings.Cut(string(status), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(line, &kib); err != nil || !found {
		return 0, errors.New("/proc/self/status does not tell VmRSS")
	}
	return kib * 1024, nil
}

// A part of a tree: it asks its children for their sums, and answers when it has all of them.
type tree struct {
	first, leaves int64
	waiting       int
	total         int64
	asker         *actor.PID
}

type sum struct{}

func (t *tree) Receive(cx actor.Context) {
	switch message := cx.Message().(type) {
	case *sum:
		t.asker = cx.Sender()
		if t.leaves == 1 {
			t.total = t.first
			t.answer(cx)
			return
		}
		below := t.leaves / 10
		for t.waiting = 0; t.waiting < 10; t.waiting++ {
			child := &tree{first: t.first + int64(t.waiting)*below, leaves: below}
			cx.Request(cx.Spawn(actor.PropsFromProducer(func() actor.Actor { return child })), &sum{})
		}
	case int64:
		t.total += message
		t.waiting--
		if t.waiting == 0 {
			t.answer(cx)
		}
	}
}

func (t *tree) answer(cx actor.Context) {
	cx.Send(t.asker, t.total)
	cx.Stop(cx.Self())
}

func (s *stage) skynet(leaves int64) (sample, error) {
	watch := start()
	root := s.root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &tree{leaves: leaves} }))
	sum, err := total(s.root.RequestFuture(root, &sum{}, timeout))
	cost := watch.stop(1)
	if err == nil && sum != leaves*(leaves-1)/2 {
		err = fmt.Errorf("the numbers below %d do not add up to %d", leaves, sum)
	}
	return cost, err
}

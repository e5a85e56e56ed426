// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"math/rand"
	"runtime"
	"strconv"
	"time"

	"machnet.invalid/machnet"
)

func send(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	return nil, get[*machnet.Flow](a, r.Flow).Send(ctx, payload(r.Seed, r.Length), tagOf(r.Tag))
}

func sendBatch(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	flow, bytes := get[*machnet.Flow](a, r.Flow), 1
	for _, message := range r.Messages {
		bytes += message.Length + 8
	}
	batch := flow.Channel().NewBatch(len(r.Messages), bytes)
	for _, message := range r.Messages {
		to := flow
		if message.Flow != "" {
			to = get[*machnet.Flow](a, message.Flow)
		}
		if err := batch.Append(to, payload(message.Seed, message.Length), tagOf(message.Tag)); err != nil {
			return nil, err
		}
	}
	if r.TimeoutMs != nil && *r.TimeoutMs == 0 {
		count, err := flow.Channel().TrySendBatch(batch)
		return answer{"count": count}, err
	}
	count, err := flow.Channel().SendBatch(ctx, batch)
	return answer{"count": count}, err
}

func sendZeroCopy(ctx context.Context, flow *machnet.Flow, seed uint64, length int, tag uint64) error {
	room, err := flow.Reserve(ctx, length)
	if err != nil {
		return err
	}
	fillPayload(room.Bytes(), seed)
	if err := room.Commit(ctx, length, tag); err != nil {
		room.Release()
		return err
	}
	return nil
}

// send sends the whole stream as the request says.
func (s *stream) send(ctx context.Context, flow *machnet.Flow) error {
	r := s.request
	var batch *machnet.Batch
	if r.Batch > 0 {
		longest := 1
		for _, length := range r.Lengths {
			if length > longest {
				longest = length
			}
		}
		batch = flow.Channel().NewBatch(r.Batch, r.Batch*(longest+8))
	}
	for ; s.count < r.Count; s.count++ {
		var err error
		seed, length, tag := s.next()
		switch {
		case batch != nil:
			if err = batch.Append(flow, payload(seed, length), tag); err != nil {
				return err
			}
			if batch.Len() == r.Batch || s.count == r.Count-1 {
				_, err = flow.Channel().SendBatch(ctx, batch)
				batch.Reset()
			}
		case r.ZeroCopy:
			err = sendZeroCopy(ctx, flow, seed, length, tag)
		default:
			err = flow.Send(ctx, payload(seed, length), tag)
		}
		if err != nil {
			return err
		}
		if r.IntervalUs > 0 {
			time.Sleep(time.Duration(r.IntervalUs) * time.Microsecond)
		}
	}
	return nil
}

func sendStream(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(20000)
	defer cancel()
	s := r.stream()
	err := s.send(ctx, get[*machnet.Flow](a, r.Flow))
	return answer{"count": s.count}, err
}

func fill(a *agent, r *request) (answer, error) {
	flow := get[*machnet.Flow](a, r.Flow)
	for count := 0; count < 100000; count++ {
		err := flow.TrySend(payload(r.Seed+uint64(count), r.Length), uint64(count))
		if err == machnet.ErrAgain {
			return answer{"count": count}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return answer{"count": 100000}, nil
}

// receiver is a flow, or a channel.
type receiver interface {
	Receive(context.Context) (machnet.Message, error)
	ReceiveInto(context.Context, []byte) (machnet.Message, error)
	ReceiveBatch(context.Context, *machnet.Batch) error
	Borrow(context.Context) (*machnet.BorrowedMessage, error)
}

// from is where a request receives, on which channel, and its name.
func (a *agent) from(r *request) (receiver, *machnet.Channel, string) {
	if r.Flow != "" {
		flow := get[*machnet.Flow](a, r.Flow)
		return flow, flow.Channel(), a.objects[r.Flow].parent
	}
	channel := get[*machnet.Channel](a, r.Channel)
	return channel, channel, r.Channel
}

func receive(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	from, _, _ := a.from(r)
	var message machnet.Message
	var err error
	if r.Capacity != nil {
		message, err = from.ReceiveInto(ctx, make([]byte, *r.Capacity))
	} else {
		message, err = from.Receive(ctx)
	}
	if err != nil {
		return nil, err
	}
	return a.message(message.Flow, message.Tag, message.Data), nil
}

const batchBytes = 9 << 20 // the longest message, and more

func receiveBatch(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	from, channel, _ := a.from(r)
	batch := channel.NewBatch(r.Max, batchBytes)
	if err := from.ReceiveBatch(ctx, batch); err != nil {
		return nil, err
	}
	list := []answer{}
	for i := 0; i < batch.Len(); i++ {
		list = append(list, a.message(batch.Flow(i), batch.Tag(i), batch.Data(i)))
	}
	return answer{"messages": list}, nil
}

func (s *stream) receiveBatches(ctx context.Context, from receiver, channel *machnet.Channel) error {
	for s.count < s.request.Count {
		most := s.request.Count - s.count
		if most > s.request.Batch {
			most = s.request.Batch
		}
		batch := channel.NewBatch(most, batchBytes)
		if err := from.ReceiveBatch(ctx, batch); err != nil {
			return err
		}
		for i := 0; i < batch.Len(); i++ {
			s.took(batch.Tag(i), batch.Data(i))
		}
	}
	return nil
}

// receive receives the whole stream as the request says. Borrowed messages are released by `release`.
func (s *stream) receive(ctx context.Context, from receiver, release func(*machnet.BorrowedMessage)) error {
	for s.count < s.request.Count {
		if s.request.ZeroCopy {
			message, err := from.Borrow(ctx)
			if err != nil {
				return err
			}
			s.took(message.Tag(), message.Bytes())
			release(message)
			continue
		}
		message, err := from.Receive(ctx)
		if err != nil {
			return err
		}
		s.took(message.Tag, message.Data)
	}
	return nil
}

func receiveStream(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(20000)
	defer cancel()
	from, channel, _ := a.from(r)
	s := r.stream()
	if r.Batch > 0 {
		err := s.receiveBatches(ctx, from, channel)
		return s.answer(), err
	}
	err := s.receive(ctx, from, func(message *machnet.BorrowedMessage) { message.Release() })
	return s.answer(), err
}

func borrow(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	from, _, parent := a.from(r)
	message, err := from.Borrow(ctx)
	if err != nil {
		return nil, err
	}
	a.objects[r.Message] = object{message, parent}
	return a.message(message.Flow(), message.Tag(), message.Bytes()), nil
}

func check(a *agent, r *request) (answer, error) {
	message := get[*machnet.BorrowedMessage](a, r.Message)
	if message.Bytes() == nil {
		return nil, message.Release() // says why
	}
	return a.message(message.Flow(), message.Tag(), message.Bytes()), nil
}

func release(a *agent, r *request) (answer, error) {
	message := get[*machnet.BorrowedMessage](a, r.Message)
	if !r.Thread {
		return nil, message.Release()
	}
	released := make(chan error)
	go func() { released <- message.Release() }()
	return nil, <-released
}

func reserve(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	room, err := get[*machnet.Flow](a, r.Flow).Reserve(ctx, r.Length)
	if err != nil {
		return nil, err
	}
	a.objects[r.Buffer] = object{room, a.objects[r.Flow].parent}
	return answer{"length": len(room.Bytes())}, nil
}

func commit(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	room := get[*machnet.ReservedMessage](a, r.Buffer)
	data := room.Bytes()
	if len(data) > r.Length {
		data = data[:r.Length]
	}
	fillPayload(data, r.Seed)
	return nil, room.Commit(ctx, r.Length, tagOf(r.Tag))
}

func abandon(a *agent, r *request) (answer, error) {
	return nil, get[*machnet.ReservedMessage](a, r.Buffer).Release()
}

func echo(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(20000)
	defer cancel()
	flow := get[*machnet.Flow](a, r.Flow)
	for count := 0; count < r.Count; count++ {
		message, err := flow.Receive(ctx)
		if err == nil {
			err = flow.Send(ctx, message.Data, message.Tag)
		}
		if err != nil {
			return nil, err
		}
	}
	return answer{"count": r.Count}, nil
}

func exchange(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(20000)
	defer cancel()
	flow, received := get[*machnet.Flow](a, r.Flow), r.stream()
	sent := make(chan error, 1)
	go func() { sent <- r.stream().send(ctx, flow) }()
	borrowed, released := make(chan *machnet.BorrowedMessage, 64), make(chan error, 1)
	go func() {
		var failed error
		for message := range borrowed {
			if err := message.Release(); err != nil {
				failed = err
			}
		}
		released <- failed
	}()
	err := received.receive(ctx, flow, func(message *machnet.BorrowedMessage) { borrowed <- message })
	close(borrowed)
	for _, other := range []error{<-sent, <-released} {
		if err == nil {
			err = other
		}
	}
	return received.answer(), err
}

func cancelWaits(a *agent, r *request) (answer, error) {
	all, cancelAll := r.within(20000)
	defer cancelAll()
	flow, s, cancelled := get[*machnet.Flow](a, r.Flow), r.stream(), 0
	for s.count < r.Count || cancelled < r.Waits {
		ctx, cancel := context.WithCancel(all)
		timer := time.AfterFunc(time.Duration(rand.Intn(200))*time.Microsecond, cancel)
		message, err := flow.Receive(ctx)
		timer.Stop()
		cancel()
		switch {
		case err == nil:
			s.took(message.Tag, message.Data)
		case err == context.Canceled:
			cancelled++
		default:
			return nil, err
		}
	}
	result := s.answer()
	result["cancelled"] = cancelled
	return result, nil
}

func gcStress(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(20000)
	defer cancel()
	flow, s := get[*machnet.Flow](a, r.Flow), r.stream()
	type kept struct {
		message *machnet.BorrowedMessage
		sum     string
	}
	sum := func(message *machnet.BorrowedMessage) string {
		one := (&request{}).stream()
		one.took(message.Tag(), message.Bytes())
		return strconv.Itoa(int(one.crc))
	}
	var keep []kept
	for s.count < r.Count {
		message, err := flow.Borrow(ctx)
		if err != nil {
			return nil, err
		}
		s.took(message.Tag(), message.Bytes())
		if s.count%16 == 1 && len(keep) < 64 {
			keep = append(keep, kept{message, sum(message)})
		}
		if s.count%64 == 0 {
			runtime.GC()
		}
	}
	intact := true
	for _, one := range keep {
		intact = intact && sum(one.message) == one.sum
	}
	result := s.answer()
	result["intact"] = intact
	return result, nil
}

// SPDX-License-Identifier: MIT

// Package machnet sends and receives messages through Machnet: kernel-bypass networking for programs on ordinary machines.
//
// The engine (machnetd) is the one process of a machine that owns the network interface. A Channel is a shared memory between this
// process and the engine; a Flow is a reliable, ordered, bidirectional sequence of messages between two channels, named by two
// addresses; a Listener accepts flows at one address. A message is up to 8 MiB of bytes with a tag of 64 bits, and arrives whole.
//
//	channel, err := machnet.Attach(ctx, nil)
//	flow, err := channel.OpenFlow(ctx, machnet.MustParseAddress("10.0.0.3:7000"), nil)
//	err = flow.Send(ctx, []byte("hello"), 0)
//	message, err := flow.Receive(ctx)
//
// Everything that waits takes a context.Context, parks the goroutine in Go's own poller meanwhile, and loses nothing when it is cancelled. All methods may be
// called by many goroutines at once. Errors are examined with errors.Is: against the statuses of this package (ErrRefused, ErrPeerClosed,
// ...), net.ErrClosed for what was closed before, io.EOF for a flow that its peer has closed, and ctx.Err() of the context given.
package machnet

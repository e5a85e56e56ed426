// SPDX-License-Identifier: MIT

// `hello listen 127.0.0.3:7000` answers one message, `hello 127.0.0.3:7000` asks, each by the engine of its MACHNET_SOCKET.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"machnet.invalid/machnet"
)

func listen(ctx context.Context, channel *machnet.Channel, address machnet.Address) error {
	listener, err := channel.Listen(ctx, address, nil)
	if err != nil {
		return err
	}
	flow, err := listener.Accept(ctx)
	if err != nil {
		return err
	}
	message, err := flow.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("received: %s\n", message.Data)
	if err := flow.Send(ctx, []byte("hello, too"), 0); err != nil {
		return err
	}
	if err := flow.WaitClosed(ctx); !errors.Is(err, io.EOF) { // the other side has everything, or is gone
		return err
	}
	return nil
}

func ask(ctx context.Context, channel *machnet.Channel, address machnet.Address) error {
	flow, err := channel.OpenFlow(ctx, address, nil)
	if err != nil {
		return err
	}
	if err := flow.Send(ctx, []byte("hello, world"), 0); err != nil {
		return err
	}
	message, err := flow.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("received: %s\n", message.Data)
	flow.Close()
	return flow.WaitClosed(ctx)
}

func run(arguments []string) error {
	ctx := context.Background()
	address, err := machnet.ParseAddress(arguments[len(arguments)-1])
	if err != nil {
		return err
	}
	channel, err := machnet.Attach(ctx, nil)
	if err != nil {
		return err
	}
	defer channel.Close()
	if len(arguments) == 2 {
		return listen(ctx, channel, address)
	}
	return ask(ctx, channel, address)
}

func main() {
	arguments := os.Args[1:]
	if len(arguments) < 1 || len(arguments) > 2 || len(arguments) == 2 && arguments[0] != "listen" {
		fmt.Fprintln(os.Stderr, "usage: hello [listen] ADDRESS:PORT")
		os.Exit(2)
	}
	if err := run(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

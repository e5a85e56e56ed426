// SPDX-License-Identifier: MIT

//go:build machnet_http

// Behind a tag: net/http and what it needs are long to compile, so test.sh does that once, without -race.

package machnet

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

func TestHTTPOverFlows(t *testing.T) {
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	listener, err := to.Listen(soon(t), two.address(0), nil)
	must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener.NetListener()) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		return from.DialContext(ctx, "machnet", address)
	}}}
	for i := 0; i < 3; i++ {
		response, err := client.Post("http://"+listener.Address().String()+"/", "text/plain", bytes.NewReader(pattern(i, 200000)))
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		response.Body.Close()
		if !bytes.Equal(body, pattern(i, 200000)) {
			t.Fatalf("%d bytes came back, or others", len(body))
		}
	}
	client.CloseIdleConnections()
	server.Close()
	mustBe(t, <-served, http.ErrServerClosed)
}

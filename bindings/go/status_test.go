// SPDX-License-Identifier: MIT

package machnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestStatusesAreThoseOfTheLibrary(t *testing.T) {
	for status := Status(-1); status >= ErrPeerSize; status-- {
		if status.Name() == "MACHNET_EUNKNOWN" || status.Error() == "" {
			t.Errorf("status %d has no name", status)
		}
	}
	if (ErrPeerSize - 1).Name() != "MACHNET_EUNKNOWN" {
		t.Error("the library has more statuses than the binding")
	}
	for status, name := range map[Status]string{ErrAgain: "EAGAIN", ErrRefused: "EREFUSED", ErrPeerClosed: "ECLOSED", ErrEngineGone: "EENGINEGONE"} {
		if status.Name() != "MACHNET_"+name {
			t.Errorf("%d is %s", status, status.Name())
		}
	}
}

func TestErrorsAreFound(t *testing.T) {
	err := error(&Error{Op: "receive", Err: ErrPeerClosed})
	for _, wanted := range []error{io.EOF, ErrPeerClosed} {
		mustBe(t, err, wanted)
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, ErrReset) {
		t.Error("found what it is not")
	}
	if status, ok := StatusOf(err); !ok || status != ErrPeerClosed {
		t.Error("the status is not found")
	}
	mustBe(t, ErrTimedOut, os.ErrDeadlineExceeded)
	mustBe(t, ErrTimedOut, context.DeadlineExceeded)
	var timeout net.Error
	if !errors.As(&Error{Op: "x", Err: ErrTimedOut}, &timeout) || !timeout.Timeout() {
		t.Error("no net.Error")
	}
	if text := err.Error(); !strings.HasPrefix(text, "machnet: receive: ") {
		t.Error(text)
	}
}

func TestVersionRule(t *testing.T) {
	for _, test := range []struct {
		header, library uint32
		fits            bool
	}{
		{0x00000002, 0x00000002, true}, {0x00000002, 0x00000003, false}, {0x00000003, 0x00000002, false},
		{0x00010000, 0x00010000, true}, {0x00010002, 0x00010005, true}, {0x00010005, 0x00010002, false},
		{0x00010000, 0x00020000, false}, {0x00020000, 0x00010000, false}, {0x00000002, 0x00010002, false},
	} {
		err := checkVersions(test.header, test.library)
		if (err == nil) != test.fits {
			t.Errorf("%x with %x: %v", test.header, test.library, err)
		}
	}
	err := checkVersions(0x00010005, 0x00010002)
	mustBe(t, err, ErrVersion)
	if !strings.Contains(err.Error(), "1.5") || !strings.Contains(err.Error(), "1.2") {
		t.Error(err)
	}
	header, library := ABIVersions()
	must(t, checkVersions(header, library))
	if LibraryVersion() == "" || !HasFeature("packed") || HasFeature("nonsense") {
		t.Error("version or features")
	}
}

func TestAddresses(t *testing.T) {
	for _, text := range []string{"10.0.0.2:7000", "[fd00::2]:7000"} {
		if address := MustParseAddress(text); address.String() != text || address != AddressFrom(netip.MustParseAddrPort(text)) || address.AddrPort().String() != text {
			t.Errorf("%s became %s", text, address)
		}
	}
	if address := MustParseAddress(":7000"); address.IP.IsValid() || address.Port != 7000 || MustParseAddress(address.String()) != address {
		t.Errorf("any address is %+v", address)
	}
	for _, text := range []string{"", "10.0.0.2", "x:1", "10.0.0.2:70000", "10.0.0.2:1\x00"} {
		if _, err := ParseAddress(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestQueueKeepsOrder(t *testing.T) {
	var q queue[int]
	places := make([]place[int], 5)
	for i := range places {
		places[i].of = new(int)
		*places[i].of = i
		q.push(&places[i])
	}
	places[2].remove()
	places[2].remove()
	places[0].remove()
	places[4].remove()
	q.push(&places[0])
	for _, wanted := range []int{1, 3, 0} {
		if got := *q.first.of; got != wanted {
			t.Fatalf("%d, not %d", got, wanted)
		}
		q.first.remove()
	}
	if q.first != nil || q.last != nil {
		t.Fatal("something is left")
	}
}

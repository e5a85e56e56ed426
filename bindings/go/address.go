// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"net/netip"
	"strings"
	"unsafe"
)

// Address is an IP address and a flow port. It is comparable, and a net.Addr.
type Address struct {
	IP   netip.Addr // the zero Addr: any address of the engine
	Port uint16     // 0: let the engine choose (local addresses)
}

// ParseAddress reads "10.0.0.2:7000", "[fd00::2]:7000" or ":7000" (any address). Error: ErrInvalid.
func ParseAddress(text string) (Address, error) {
	var parsed C.machnet_address
	ctext := C.CString(text)
	defer C.free(unsafe.Pointer(ctext))
	if strings.IndexByte(text, 0) >= 0 || C.machnet_address_parse(ctext, &parsed) < 0 {
		return Address{}, &Error{Op: "parse address", Err: ErrInvalid, Text: "'" + text + "' is not like 10.0.0.2:7000, [fd00::2]:7000 or :7000"}
	}
	return addressFromC(&parsed), nil
}

// MustParseAddress is ParseAddress for texts that are known to be right: it panics if one is not.
func MustParseAddress(text string) Address {
	address, err := ParseAddress(text)
	if err != nil {
		panic(err)
	}
	return address
}

// AddressFrom makes an Address of an AddrPort.
func AddressFrom(from netip.AddrPort) Address { return Address{from.Addr().Unmap(), from.Port()} }

// AddrPort makes an AddrPort of an Address; any address becomes [::].
func (a Address) AddrPort() netip.AddrPort {
	if !a.IP.IsValid() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port)
	}
	return netip.AddrPortFrom(a.IP, a.Port)
}

// Network is "machnet".
func (a Address) Network() string { return "machnet" }

// String writes the address as ParseAddress reads it.
func (a Address) String() string {
	var text [C.MACHNET_ADDRESS_TEXT_MAX]C.char
	C.machnet_address_format(a.toC(), &text[0], C.MACHNET_ADDRESS_TEXT_MAX)
	return C.GoString(&text[0])
}

func (a Address) toC() *C.machnet_address {
	made := &C.machnet_address{port: C.uint16_t(a.Port)}
	if a.IP.IsValid() && !a.IP.IsUnspecified() {
		bytes := a.IP.As16()
		made.ip = *(*[16]C.uint8_t)(unsafe.Pointer(&bytes))
	}
	return made
}

func addressFromC(from *C.machnet_address) Address {
	ip := netip.AddrFrom16(*(*[16]byte)(unsafe.Pointer(&from.ip))).Unmap()
	if ip.IsUnspecified() {
		ip = netip.Addr{}
	}
	return Address{ip, uint16(from.port)}
}

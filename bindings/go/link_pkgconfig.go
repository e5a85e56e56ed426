// SPDX-License-Identifier: MIT

//go:build machnet_pkgconfig

package machnet

// #cgo pkg-config: machnet
import "C"

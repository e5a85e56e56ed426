// SPDX-License-Identifier: MIT

//go:build !machnet_pkgconfig && !machnet_static

package machnet

// #cgo LDFLAGS: -lmachnet
import "C"

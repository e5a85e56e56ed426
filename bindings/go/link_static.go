// SPDX-License-Identifier: MIT

//go:build machnet_static && !machnet_pkgconfig

package machnet

// #cgo LDFLAGS: -l:libmachnet.a -pthread
import "C"

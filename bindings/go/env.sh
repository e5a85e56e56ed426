# SPDX-License-Identifier: MIT
#
# Sourced by test.sh and bench.sh: Go with the library of the build MACHNET_BUILD, and nothing from the network. $out is where to build.
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export MACHNET_BUILD=${MACHNET_BUILD:-$tree/build/release}
out=$MACHNET_BUILD/bindings/go
mkdir -p "$out"
export GOCACHE=$out/cache GOPATH=$out/path GOPROXY=off GOTOOLCHAIN=local GOFLAGS= GO111MODULE=on GOWORK=off CGO_ENABLED=1
# As if header and library were installed. CGO_CFLAGS and CGO_LDFLAGS hold for the standard library, too, which Go would compile anew for them.
unset CGO_CFLAGS CGO_LDFLAGS
export C_INCLUDE_PATH=$tree/capi/include LIBRARY_PATH=$MACHNET_BUILD/lib LD_RUN_PATH=$MACHNET_BUILD/lib

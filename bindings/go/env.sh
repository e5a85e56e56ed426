# SPDX-License-Identifier: MIT
#
# Sourced by test.sh and bench.sh: Go with the library of the build MACHNET_BUILD, and nothing from the network. $out is where to build.
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export MACHNET_BUILD=${MACHNET_BUILD:-$tree/build/release}
out=$MACHNET_BUILD/bindings/go
mkdir -p "$out"
export GOCACHE=$out/cache GOPATH=$out/path GOPROXY=off GOTOOLCHAIN=local GOFLAGS= GO111MODULE=on GOWORK=off CGO_ENABLED=1
export CGO_CFLAGS="-O2 -g -Wall -Werror -I$tree/capi/include" CGO_LDFLAGS="-L$MACHNET_BUILD/lib -Wl,-rpath,$MACHNET_BUILD/lib"

# SPDX-License-Identifier: MIT
#
# For the scripts here: MACHNET_BUILD, $artifacts, sdk, build_project. Ends with status 77 where there is no .NET SDK.
if ! command -v dotnet >/dev/null || [ -z "$(dotnet --list-sdks)" ]; then
    echo "skipped: no .NET SDK (dotnet)"
    exit 77
fi
MACHNET_BUILD=$(cd "${MACHNET_BUILD:-$(dirname "${BASH_SOURCE[0]}")/../../build/release}" && pwd)
export MACHNET_BUILD
export MACHNET_LIBRARY=$MACHNET_BUILD/lib/libmachnet.so.1
# No server process may stay behind, and nothing is sent to anybody.
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_CLI_USE_MSBUILD_SERVER=0 MSBUILDDISABLENODEREUSE=1
artifacts=$MACHNET_BUILD/bindings/csharp

# sdk build|pack|publish PROJECT [ARGUMENT...]. One process does it all: on the few processors of a test machine further ones would only have
# to start, and so would what the run-time learns of a program for its later speed. A folder of packages can stand in for the default source,
# on a machine without a network: MACHNET_NUGET=FOLDER.
sdk() {
    DOTNET_TieredPGO=0 dotnet "$@" --configuration Release -maxCpuCount:1 --disable-build-servers -p:UseSharedCompilation=false \
        --verbosity quiet ${MACHNET_NUGET:+--source "$MACHNET_NUGET"}
}

build_project() { # PROJECT
    sdk build "$1" --artifacts-path "$artifacts"
}

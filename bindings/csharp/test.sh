#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds everything of C#, runs the tests and the sample against real engines, and makes the package and uses it.
# ctest-timeout: 900
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bindings/csharp/dotnet.bash
. "$here/dotnet.bash"

scratch=$(mktemp -d)
pids=()
clean_up() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap clean_up EXIT

# ---- The layout of the structs, as C has it ----
"${CC:-cc}" -I"$here/../../capi/include" -o "$scratch/layout" "$here/tests/layout.c"
"$scratch/layout" >"$scratch/layout.txt"

# ---- Unit tests ----
build_project "$here/tests/Machnet.Tests" # and the library and the sample
MACHNET_LAYOUT=$scratch/layout.txt timeout 400 dotnet vstest "$artifacts/bin/Machnet.Tests/release/Machnet.Tests.dll"

# ---- The sample ----
net=127.$((1 + $$ % 250)).$((1 + $$ / 250 % 250))
for host in 4 5; do
    "$MACHNET_BUILD/bin/machnetd" --socket "$scratch/$host.sock" --ip "$net.$host" 2>"$scratch/$host.log" &
    pids+=($!)
done
for host in 4 5; do
    for ((i = 0; i < 500; i++)); do
        grep -q ready "$scratch/$host.log" && break
        sleep 0.02
    done
done
hello() { # HOST COMMAND...: each by the engine of its host
    MACHNET_SOCKET=$scratch/$1.sock timeout 30 "${@:2}"
}
try_hello() { # COMMAND...
    hello 5 "$@" listen "$net.5:7000" >"$scratch/listen.txt" &
    local listener=$! i
    for ((i = 0; i < 100; i++)); do
        hello 4 "$@" "$net.5:7000" >"$scratch/ask.txt" 2>"$scratch/ask.log" && break
        sleep 0.1 # nobody listens yet
    done
    wait "$listener"
    grep -qx 'received: hello, world' "$scratch/listen.txt"
    grep -qx 'received: hello, too' "$scratch/ask.txt"
}
try_hello dotnet "$artifacts/bin/hello/release/hello.dll"
echo "sample ok"

# ---- A library of another version is refused, and a missing one named ----
printf 'unsigned machnet_abi_version(void) { return 7u << 16 | 9; }\n' >"$scratch/other.c"
"${CC:-cc}" -shared -o "$scratch/other.so" "$scratch/other.c"
said=$(MACHNET_LIBRARY=$scratch/other.so dotnet "$artifacts/bin/hello/release/hello.dll" "$net.5:7000" 2>&1) && exit 1
grep -q 'built for ABI .*the loaded libmachnet.so.1 has ABI 7\.9' <<<"$said" || { echo "not told of the version: $said" >&2; exit 1; }
echo "version rule ok"

# ---- The package: made, and used by a program that has nothing else ----
# Its version is of this run, so that no other can be taken for it; it is unpacked here, the rest is had from where others have it already.
version=0.0.0-test.$$
sdk pack "$here/src/Machnet" --no-build --artifacts-path "$artifacts" -p:PackageVersion=$version --output "$scratch/packages"
mkdir "$scratch/user"
cp "$here/samples/hello/Program.cs" "$scratch/user"
cat >"$scratch/user/hello.csproj" <<END
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType><TargetFramework>net8.0</TargetFramework><RollForward>Major</RollForward>
    <ImplicitUsings>enable</ImplicitUsings><Nullable>enable</Nullable><InvariantGlobalization>true</InvariantGlobalization>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors> <!-- also those about trimming -->
    <RestoreAdditionalProjectSources>$scratch/packages</RestoreAdditionalProjectSources>
    <RestorePackagesPath>$scratch/restored</RestorePackagesPath>
    <Others>\$([MSBuild]::ValueOrDefault('\$(NUGET_PACKAGES)', '\$(HOME)/.nuget/packages'))</Others>
    <RestoreFallbackFolders Condition="Exists('\$(Others)')">\$(Others)</RestoreFallbackFolders>
  </PropertyGroup>
  <ItemGroup><PackageReference Include="Machnet" Version="[$version]" /></ItemGroup>
</Project>
END
sdk build "$scratch/user" --output "$scratch/user/out"
try_hello env -u MACHNET_LIBRARY dotnet "$scratch/user/out/hello.dll"
echo "package ok"

# ---- The same compiled ahead of time, where the compiler for that can be had ----
if sdk publish "$scratch/user" --runtime linux-x64 -p:PublishAot=true --output "$scratch/user/aot" >"$scratch/aot.log" 2>&1; then
    try_hello env -u MACHNET_LIBRARY "$scratch/user/aot/hello"
    echo "ahead of time ok"
elif grep -qE 'NU110[0-9]|NU130[0-9]|Platform linker|clang' "$scratch/aot.log"; then
    echo "ahead of time: skipped, its compiler cannot be had here"
else
    cat "$scratch/aot.log" >&2
    exit 1
fi

// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;

[assembly: DisableRuntimeMarshalling] // every call is blittable, or does not compile

namespace Machnet.Interop;

/* What the generated declarations refer to: C's opaque handles, and its arrays in structs. */

internal struct NativeOptions;

internal struct NativeContext;

internal struct NativeChannel;

[InlineArray(16)]
internal struct Bytes16
{
    private byte _first;
}

[InlineArray(232)]
internal struct Bytes232
{
    private byte _first;
}

[InlineArray(2)]
internal struct Words2
{
    private ulong _first;
}

[InlineArray(4)]
internal struct Words4
{
    private ulong _first;
}

[InlineArray(9)]
internal struct Words9
{
    private ulong _first;
}

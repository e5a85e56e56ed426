// SPDX-License-Identifier: MIT
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Machnet.Interop;
using Xunit;

namespace Machnet.Tests;

public sealed class InteropTests
{
    [Fact]
    public void Structs_lie_as_in_C()
    {
        int members = 0;
        foreach (string line in File.ReadLines(Environment.GetEnvironmentVariable("MACHNET_LAYOUT")!))
        {
            string[] words = line.Split(' ', '.');
            string camel = string.Concat(words[0].Split('_').Skip(1).Select(CultureInfo.InvariantCulture.TextInfo.ToTitleCase));
            Type type = typeof(Native).Assembly.GetType($"Machnet.Interop.Native{camel}", true)!;
            if (words.Length == 2)
            {
                Assert.Equal(int.Parse(words[1], CultureInfo.InvariantCulture), Marshal.SizeOf(type));
                continue;
            }
            Assert.Equal(words[2], Marshal.OffsetOf(type, $"<{words[1]}>k__BackingField").ToString(CultureInfo.InvariantCulture));
            FieldInfo field = type.GetField($"<{words[1]}>k__BackingField", BindingFlags.NonPublic | BindingFlags.Instance)!;
            int size = field.FieldType.IsPointer ? 8 : Marshal.SizeOf(field.FieldType);
            Assert.Equal(words[3], size.ToString(CultureInfo.InvariantCulture));
            members++;
        }
        Assert.True(members > 30);
    }

    [Fact]
    public void Every_number_of_the_header_has_a_public_name()
    {
        (Type Native, Type Public)[] enums =
        [
            (typeof(machnet_status), typeof(StatusCode)), (typeof(machnet_event_type), typeof(EventType)),
            (typeof(machnet_wait), typeof(WaitFor)), (typeof(machnet_poll), typeof(PollMode)), (typeof(machnet_flow_state), typeof(FlowState)),
        ];
        foreach ((Type native, Type open) in enums)
        {
            foreach (object value in Enum.GetValues(native))
                Assert.True(Enum.IsDefined(open, (int)value), $"{value} is not in {open}");
        }
        foreach (StatusCode code in Enum.GetValues<StatusCode>())
            Assert.Equal(((machnet_status)code).ToString(), MachnetLibrary.NameOf(code));
        Assert.Equal("MACHNET_EUNKNOWN", MachnetLibrary.NameOf((StatusCode)(-1000)));
    }

    [Theory]
    [InlineData(0x00000002u, 0x00000002u, true)]
    [InlineData(0x00000002u, 0x00000003u, false)]
    [InlineData(0x00000002u, 0x00000001u, false)]
    [InlineData(0x00000002u, 0x00010002u, false)]
    [InlineData(0x00010002u, 0x00010002u, true)]
    [InlineData(0x00010002u, 0x00010007u, true)]
    [InlineData(0x00010002u, 0x00010001u, false)]
    [InlineData(0x00010002u, 0x00020002u, false)]
    public void The_version_rule(uint built, uint loaded, bool fits)
    {
        Assert.Equal(fits, Library.Accepts(built, loaded));
        string text = Library.RefusalText(built, loaded);
        Assert.Contains($"{built >> 16}.{built & 0xffff}", text);
        Assert.Contains($"{loaded >> 16}.{loaded & 0xffff}", text);
    }

    [Fact]
    public void Addresses()
    {
        foreach (string text in (string[])["10.0.0.2:7000", "[fd00::2]:7000", ":7000"])
            Assert.Equal(text, Address.Parse(text).ToString());
        foreach (string text in (string[])["", "10.0.0.2", "10.0.0.2:70000", "x:1", "10.0.0.2:1\0"])
            Assert.False(Address.TryParse(text, out _));
        Assert.Throws<FormatException>(() => Address.Parse("nonsense"));
        var address = new Address(System.Net.IPAddress.Parse("10.0.0.2"), 7000);
        Assert.Equal(Address.Parse("10.0.0.2:7000"), address);
        Assert.Equal("10.0.0.2", address.Ip.ToString());
        Assert.Equal(Address.Parse(":1"), new Address(System.Net.IPAddress.Any, 1));
        Assert.Equal(5, address.WithPort(5).Port);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Address(System.Net.IPAddress.Any, 65536));
        Assert.True(MachnetLibrary.HasFeature("zero-copy"));
        Assert.False(MachnetLibrary.HasFeature("no such feature"));
    }
}

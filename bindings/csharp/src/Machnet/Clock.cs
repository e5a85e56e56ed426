// SPDX-License-Identifier: MIT
using System.Diagnostics;

namespace Machnet;

/// <summary>Deadlines on the monotonic clock, in nanoseconds; negative: none.</summary>
internal static class Clock
{
    private static long Now => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

    internal static long Deadline(TimeSpan? timeout)
    {
        if (timeout is not { } time || time == Timeout.InfiniteTimeSpan)
            return -1;
        if (time < TimeSpan.Zero)
            throw new ArgumentOutOfRangeException(nameof(timeout), "A time to wait is not negative (but for Timeout.InfiniteTimeSpan).");
        return time > TimeSpan.FromDays(3650) ? -1 : Now + (time.Ticks * TimeSpan.NanosecondsPerTick);
    }

    /// <summary>0 or more; negative: for ever.</summary>
    internal static long LeftNanoseconds(long deadline) => deadline < 0 ? -1 : Math.Max(0, deadline - Now);

    internal static TimeSpan Left(long deadline)
    {
        long left = LeftNanoseconds(deadline);
        if (left < 0)
            return Timeout.InfiniteTimeSpan;
        long milliseconds = (left + 999_999) / 1_000_000; // a shorter sleep would end before the time
        return TimeSpan.FromMilliseconds(Math.Min(milliseconds, int.MaxValue - 1));
    }
}

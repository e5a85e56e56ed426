// SPDX-License-Identifier: MIT

namespace Machnet;

public sealed partial class Flow
{
    /// <summary>Closes the flow and waits until the peer's engine has all messages (Ok) or something prevented it.</summary>
    public async ValueTask<StatusCode> CloseAsync(CancellationToken cancellationToken = default)
    {
        Dispose();
        return await WaitClosedAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The same, asynchronously.</summary>
    public async ValueTask<StatusCode> WaitClosedAsync(CancellationToken cancellationToken = default)
    {
        await Channel.WhenAsync(Record.Changed, TryEnded, cancellationToken).ConfigureAwait(false);
        return Record.EndStatus;
    }

    /// <summary>The same, asynchronously.</summary>
    public async ValueTask<SendBuffer> ReserveAsync(int length, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        SendBuffer? buffer = null;
        if (!TryReserve(length, out buffer))
            await TookSpaceAsync(Channel.WhenAsync(Record.Writable, () => TryReserve(length, out buffer), cancellationToken)).ConfigureAwait(false);
        return buffer!;
    }

    private async ValueTask TookSpaceAsync(ValueTask sent)
    {
        await sent.ConfigureAwait(false);
        Channel.TookEvent(Record, EventType.SendSpace);
    }
}

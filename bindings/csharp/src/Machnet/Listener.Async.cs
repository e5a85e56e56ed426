// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;

namespace Machnet;

public sealed partial class Listener
{
    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public async ValueTask<Flow> AcceptAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (TryAccept(out Flow? flow))
            return flow;
        await Channel.WhenAsync(Accepted, () => TryAccept(out flow), cancellationToken).ConfigureAwait(false);
        return flow!;
    }

    /// <summary>All flows that are accepted, until the listener or channel is closed.</summary>
    public async IAsyncEnumerable<Flow> AcceptAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        for (; ; )
            yield return await AcceptAsync(cancellationToken).ConfigureAwait(false);
    }
}

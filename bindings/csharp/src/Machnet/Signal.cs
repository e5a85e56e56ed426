// SPDX-License-Identifier: MIT
namespace Machnet;

/// <summary>
/// Those who wait for one thing. A release completes all who wait now; each then looks for itself. Who waits adds itself first and looks after
/// that, so a release in between is not missed.
/// </summary>
internal sealed class Signal
{
    private readonly List<TaskCompletionSource> _waiters = [];

    internal bool HasWaiters
    {
        get
        {
            lock (_waiters)
                return _waiters.Count > 0;
        }
    }

    internal TaskCompletionSource Add()
    {
        var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Add(waiter);
        return waiter;
    }

    internal void Add(TaskCompletionSource waiter)
    {
        lock (_waiters)
            _waiters.Add(waiter);
    }

    internal void Remove(TaskCompletionSource waiter)
    {
        lock (_waiters)
            _waiters.Remove(waiter);
    }

    internal void Release()
    {
        TaskCompletionSource[] released;
        lock (_waiters)
        {
            if (_waiters.Count == 0)
                return;
            released = [.. _waiters];
            _waiters.Clear();
        }
        foreach (TaskCompletionSource waiter in released)
            waiter.TrySetResult();
    }

    /// <summary>Releases one; false if nobody waits.</summary>
    internal bool ReleaseOne()
    {
        lock (_waiters)
        {
            while (_waiters.Count > 0)
            {
                TaskCompletionSource waiter = _waiters[0];
                _waiters.RemoveAt(0);
                if (waiter.TrySetResult())
                    return true;
            }
        }
        return false;
    }
}

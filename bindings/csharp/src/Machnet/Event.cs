// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/// <summary>What can happen on a channel.</summary>
public enum EventType
{
    /// <summary>A flow that was started is open.</summary>
    Established = machnet_event_type.MACHNET_EVENT_ESTABLISHED,
    /// <summary>The listener accepted the flow.</summary>
    Accepted = machnet_event_type.MACHNET_EVENT_ACCEPTED,
    /// <summary>The flow ended, or could not be opened; its messages can still be received.</summary>
    Closed = machnet_event_type.MACHNET_EVENT_CLOSED,
    /// <summary>The flow had no space for a message, and has some now.</summary>
    SendSpace = machnet_event_type.MACHNET_EVENT_SEND_SPACE,
    /// <summary>The flow waits for receive space.</summary>
    ReceiveStalled = machnet_event_type.MACHNET_EVENT_RECEIVE_STALLED,
    /// <summary>The engine closed a listener. Today's engine never does.</summary>
    ListenerClosed = machnet_event_type.MACHNET_EVENT_LISTENER_CLOSED,
}

/// <summary>One thing that happened on a flow that is open in this program.</summary>
/// <param name="Type">What.</param>
/// <param name="Flow">Where.</param>
/// <param name="Status">Of <see cref="EventType.Closed"/>: why the flow ended; else Ok.</param>
/// <param name="Value">Of <see cref="EventType.ReceiveStalled"/>: the bytes that this program holds borrowed or unread; else 0.</param>
public readonly record struct Event(EventType Type, Flow Flow, StatusCode Status, long Value);

/// <summary>What <see cref="Channel.Wait"/> waits for.</summary>
[Flags]
public enum WaitFor
{
    /// <summary>Nothing: a wake.</summary>
    None = 0,
    /// <summary>A message can be received, or a flow has ended since this was last returned.</summary>
    Receive = machnet_wait.MACHNET_WAIT_RECEIVE,
    /// <summary><see cref="Channel.TryTakeEvent"/> has something.</summary>
    Event = machnet_wait.MACHNET_WAIT_EVENT,
    /// <summary>A flow that had no space for a message has some, of which nobody has taken notice: <see cref="EventType.SendSpace"/> is there.</summary>
    Send = machnet_wait.MACHNET_WAIT_SEND,
}

/// <summary>What is known of a message beside its bytes.</summary>
/// <param name="Flow">Its flow.</param>
/// <param name="Tag">What the sender gave.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct MessageInfo(Flow Flow, ulong Tag, int Length);

/// <summary>A flow's state.</summary>
public enum FlowState
{
    /// <summary>The peer has not answered yet. Messages may be sent; they go out when it is open.</summary>
    Opening = machnet_flow_state.MACHNET_FLOW_OPENING,
    /// <summary>Open.</summary>
    Open = machnet_flow_state.MACHNET_FLOW_OPEN,
    /// <summary>Ended; messages that came before can still be received.</summary>
    Ended = machnet_flow_state.MACHNET_FLOW_ENDED,
}

/// <summary>What the library knows of a flow. Counts are of messages.</summary>
public readonly record struct FlowInfo(
    FlowState State, StatusCode Status, long MessagesSent, long MessagesAcknowledged, long MessagesReceived, long MessagesQueued,
    long BytesUnacknowledged);

// SPDX-License-Identifier: MIT
//! An async loop without any crate: futures that wait for messages, an executor that sleeps in poll(2) on the channel's descriptor. A task
//! for each flow that was accepted echoes its messages.
//!
//! `event_loop ADDRESS:PORT` serves until all flows that it accepted have ended.

use std::collections::HashMap;
use std::future::Future;
use std::os::raw::{c_int, c_short, c_ulong};
use std::os::unix::io::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake};

use machnet::{Address, Channel, Context, Descriptor, ErrorKind, Event, FlowToken, Handle, Message, Result};

/// Resolves to the flow's next message, or to why it ended. A future that is dropped loses nothing: it takes a message only when it
/// returns it.
struct Receive<'a>(&'a Channel, FlowToken);

impl Future for Receive<'_> {
    type Output = Result<Message>;

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Result<Message>> {
        match self.0.receiver().try_receive(self.1) {
            Ok(None) => Poll::Pending, // the loop polls all tasks when the descriptor is readable
            result => Poll::Ready(result.map(|message| message.expect("a message"))),
        }
    }
}

/// Resolves when the message has gone out.
struct Send<'a>(&'a Channel, &'a Message);

impl Future for Send<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Result<()>> {
        match self.0.sender().try_send(self.1.flow(), self.1, self.1.tag()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

async fn echo(channel: Rc<Channel>, flow: FlowToken) -> Result<()> {
    loop {
        match Receive(&channel, flow).await {
            Ok(message) => Send(&channel, &message).await?,
            Err(error) if error.kind() == ErrorKind::Closed => return channel.flow(flow).close(),
            Err(error) => return Err(error),
        }
    }
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
}

/// Sleeps until the channel's descriptor is readable.
fn sleep(descriptor: &Descriptor) {
    const POLLIN: c_short = 1;
    let mut fds = PollFd { fd: descriptor.as_raw_fd(), events: POLLIN, revents: 0 };
    // SAFETY: one entry, valid to be written. A signal only makes the loop look once more.
    unsafe { poll(&mut fds, 1, -1) };
}

/// For wakers that other things call (timers, channels between tasks): the descriptor becomes readable, and all tasks are looked at.
struct LoopWaker(Handle);

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        let _ = self.0.wake(); // fails only when the channel is gone, which makes the descriptor readable, too
    }
}

type Task = Pin<Box<dyn Future<Output = Result<()>>>>;

fn main() -> Result<()> {
    let address = std::env::args().nth(1).expect("usage: event_loop ADDRESS:PORT");
    let address: Address = address.parse()?;
    let channel = Rc::new(Channel::open(&Context::open()?)?);
    let descriptor = channel.handle().descriptor()?;
    let listener = channel.listen(address)?;
    println!("listening on {}", listener.address()?);
    let waker = Arc::new(LoopWaker(channel.handle().clone())).into();
    let mut look = TaskContext::from_waker(&waker);
    let mut tasks: HashMap<FlowToken, Task> = HashMap::new();
    let (mut events, mut served) = (Vec::new(), 0);
    while served == 0 || !tasks.is_empty() {
        channel.receiver().try_events(&mut events)?;
        for event in events.drain(..) {
            if let Event::Accepted { flow, .. } = event {
                tasks.insert(flow, Box::pin(echo(channel.clone(), flow)));
                served += 1;
            }
        }
        tasks.retain(|flow, task| match task.as_mut().poll(&mut look) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                result.unwrap_or_else(|error| eprintln!("{flow:?}: {error}"));
                false
            }
        });
        // Each task has received until there was nothing, and the events before that: now the descriptor says when there is more.
        if served == 0 || !tasks.is_empty() {
            sleep(&descriptor);
        }
    }
    Ok(())
}

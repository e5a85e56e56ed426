// SPDX-License-Identifier: MIT
//! What takes more than one thread.

use std::sync::mpsc::{self, Receiver as Inbox, Sender as Outbox};
use std::thread;
use std::time::Duration;

use machnet::{ErrorKind, Event, FlowToken, Handle, Message, Receiver, Sender, Wait};

use crate::json::Json;
use crate::objects::ChanRef;
use crate::pattern::{Pattern, Received, Stream};
use crate::request::{Answer, Deadline, Fail, Request, STREAM_MS, WAIT_MS};
use crate::streams::result;
use crate::Agent;

impl Agent {
    /// `None`: not one of these.
    pub fn threads(&mut self, op: &str, request: &Request) -> Option<Answer> {
        Some(match op {
            "wait" => self.wait(request),
            "exchange" => self.exchange(request),
            "cancel_waits" => self.cancel_waits(request),
            _ => return None,
        })
    }

    fn wait(&mut self, request: &Request) -> Answer {
        const WORDS: [(&str, Wait); 3] = [("receive", Wait::RECEIVE), ("event", Wait::EVENT), ("send", Wait::SEND)];
        let chan = self.objects.channel(request)?;
        let chan = chan.borrow();
        let channel = chan.channel()?;
        let mut what = if request.has("for") { Wait::NONE } else { Wait::RECEIVE | Wait::EVENT };
        for (word, bit) in WORDS {
            if request.list("for").contains(&Json::text(word)) {
                what |= bit;
            }
        }
        let deadline = request.deadline(WAIT_MS)?;
        let after = |field| request.has(field).then(|| request.number(field)).transpose();
        let later = later(chan.handle()?.clone(), after("wake_after_ms")?, after("shutdown_after_ms")?);
        let waited = channel.receiver().wait(what, deadline.left());
        later.join().map_err(|_| Fail::Agent("the thread".into()))?;
        let held = waited.map_err(|error| deadline.say(error))?;
        let ready = WORDS.iter().filter(|(_, bit)| held.contains(*bit)).map(|(word, _)| Json::text(*word));
        Ok(Json::map([("ready", Json::List(ready.collect()))]))
    }

    fn exchange(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (stream, deadline) = (request.stream()?, request.deadline(STREAM_MS)?);
        let zero_copy = request.flag("zero_copy");
        chan.borrow().channel()?;
        let (sender, receiver) = match chan.borrow_mut().channel.take() {
            Some(channel) => channel.split(),
            None => return Err(Fail::Agent("no channel".into())),
        };
        let (space, told) = mpsc::channel();
        let pattern = &self.pattern;
        let (sender, sent, received) = thread::scope(|scope| {
            let stream = &stream;
            let sending = scope.spawn(move || {
                let sent = send_all(&sender, flow, stream, pattern, (zero_copy, deadline), told);
                (sender, sent)
            });
            let (to_release, released) = mpsc::channel::<Message>();
            scope.spawn(move || released.into_iter().for_each(drop));
            let mut all = Receiving { receiver: &receiver, flow, chan: &chan, space, deadline };
            let received = all.receive(stream.count, pattern, zero_copy.then(|| to_release));
            drop(all);
            let (sender, sent) = sending.join().expect("the sender ends");
            (sender, sent, received)
        });
        chan.borrow_mut().channel = sender.unsplit(receiver).ok();
        let received = received?;
        sent?;
        Ok(result(&received))
    }

    fn cancel_waits(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (count, deadline) = (request.number("count")?, request.deadline(STREAM_MS)?);
        let waits: u64 = request.number("waits")?;
        let (begun, waiting) = mpsc::channel::<()>();
        let handle = chan.borrow().handle()?.clone();
        let canceller = thread::spawn(move || {
            for (moment, ()) in (0..).step_by(37).zip(waiting) {
                thread::sleep(Duration::from_micros(moment % 200));
                let _ = handle.wake();
            }
        });
        let mut chan = chan.borrow_mut();
        let mut received = Received::default();
        let mut cancelled = 0;
        while received.count < count || cancelled < waits {
            deadline.check()?;
            chan.pump()?;
            let channel = chan.channel()?;
            if received.count < count {
                if let Some(message) = channel.receiver().try_receive(flow)? {
                    received.add(&self.pattern, message.tag(), &message);
                    continue;
                }
            }
            if cancelled < waits {
                let _ = begun.send(());
            }
            let held = channel.receiver().wait(Wait::RECEIVE | Wait::EVENT, deadline.left());
            if held.map_err(|error| deadline.say(error))?.is_empty() && cancelled < waits {
                cancelled += 1;
            }
        }
        drop(begun);
        canceller.join().map_err(|_| Fail::Agent("the thread".into()))?;
        let _ = chan.channel()?.receiver().wait(Wait::EVENT, Some(Duration::ZERO)); // takes the last wake, if it came late
        let mut fields = result(&received);
        if let Json::Map(fields) = &mut fields {
            fields.push(("cancelled".into(), Json::number(cancelled)));
        }
        Ok(fields)
    }
}

fn later(handle: Handle, wake_ms: Option<u64>, shutdown_ms: Option<u64>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        if let Some(ms) = wake_ms {
            thread::sleep(Duration::from_millis(ms));
            let _ = handle.wake();
        }
        if let Some(ms) = shutdown_ms {
            thread::sleep(Duration::from_millis(ms));
            let _ = handle.shutdown();
        }
    })
}

/// The thread that sends; `space` says when to try again.
fn send_all(
    sender: &Sender,
    flow: FlowToken,
    stream: &Stream,
    pattern: &Pattern,
    (zero_copy, deadline): (bool, Deadline),
    space: Inbox<()>,
) -> Result<(), Fail> {
    for k in 0..stream.count {
        let (bytes, tag) = stream.message(pattern, k);
        loop {
            let sent = if zero_copy {
                sender.try_reserve(flow, bytes.len()).and_then(|mut buffer| {
                    buffer.copy_from_slice(bytes);
                    Ok(sender.commit(buffer, tag)?)
                })
            } else {
                sender.try_send(flow, bytes, tag)
            };
            match sent {
                Err(error) if error.kind() == ErrorKind::WouldBlock => deadline.check()?,
                Err(error) => return Err(error.into()),
                Ok(()) => break,
            }
            let _ = space.recv_timeout(Duration::from_millis(10)); // or the flow has ended
        }
    }
    Ok(())
}

/// The thread that receives, and takes the events for both.
struct Receiving<'a> {
    receiver: &'a Receiver,
    flow: FlowToken,
    chan: &'a ChanRef,
    space: Outbox<()>,
    deadline: Deadline,
}

impl Receiving<'_> {
    fn receive(&mut self, count: u64, pattern: &Pattern, borrowed: Option<Outbox<Message>>) -> Result<Received, Fail> {
        let mut received = Received::default();
        let mut buffer = vec![0; machnet::MESSAGE_MAX];
        while received.count < count {
            let more = match &borrowed {
                Some(releaser) => self.receiver.try_receive(self.flow)?.map(|message| {
                    received.add(pattern, message.tag(), &message);
                    let _ = releaser.send(message);
                }),
                None => self
                    .receiver
                    .try_receive_into(self.flow, &mut buffer)?
                    .map(|info| received.add(pattern, info.tag, &buffer[..info.length])),
            };
            if more.is_none() {
                self.pass_events_on()?;
                let held = self.receiver.wait(Wait::RECEIVE | Wait::EVENT, self.deadline.left());
                held.map_err(|error| self.deadline.say(error))?;
            }
        }
        Ok(received)
    }

    fn pass_events_on(&mut self) -> Result<(), Fail> {
        let mut chan = self.chan.borrow_mut();
        self.receiver.try_events(&mut chan.told)?;
        while chan.take(|event| *event == Event::SendSpace { flow: self.flow }).is_some() {
            let _ = self.space.send(());
        }
        Ok(())
    }
}

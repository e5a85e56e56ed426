// SPDX-License-Identifier: MIT
//! Streams: many messages, one at a time, in batches, or without a copy.

use std::thread;
use std::time::Duration;

use machnet::{Batch, ErrorKind, FlowToken};

use crate::json::Json;
use crate::messages::{receive_batch, receive_into};
use crate::objects::Chan;
use crate::pattern::{Pattern, Received, Stream};
use crate::request::{Answer, Deadline, Fail, Request, STREAM_MS};
use crate::Agent;

impl Agent {
    /// `None`: not one of these.
    pub fn streams(&mut self, op: &str, request: &Request) -> Option<Answer> {
        Some(match op {
            "send_stream" => self.send_stream(request),
            "fill" => self.fill(request),
            "receive_stream" => self.receive_stream(request),
            "echo" => self.echo(request),
            _ => return None,
        })
    }

    fn send_stream(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (stream, deadline) = (request.stream()?, request.deadline(STREAM_MS)?);
        let batch: u64 = request.number_or("batch", 1)?;
        let pause = Duration::from_micros(request.number_or("interval_us", 0)?);
        let mut chan = chan.borrow_mut();
        let step = if request.flag("zero_copy") { 1 } else { batch.max(1) };
        for k in (0..stream.count).step_by(step as usize) {
            if request.flag("zero_copy") {
                send_reserved(&mut chan, flow, stream.message(&self.pattern, k), deadline)?;
            } else if step > 1 {
                send_batch(&mut chan, flow, &stream, k..stream.count.min(k + step), &self.pattern, deadline)?;
            } else {
                let (bytes, tag) = stream.message(&self.pattern, k);
                chan.send(flow, deadline, |channel| channel.sender().try_send(flow, bytes, tag))?;
            }
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        Ok(Json::map([("count", Json::number(stream.count))]))
    }

    fn fill(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (seed, length): (u64, usize) = (request.number("seed")?, request.number("length")?);
        let chan = chan.borrow();
        let channel = chan.channel()?;
        let mut count = 0;
        while count < 100_000 {
            match channel.sender().try_send(flow, self.pattern.payload(seed + count, length), count) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                result => result?,
            }
            count += 1;
        }
        Ok(Json::map([("count", Json::number(count))]))
    }

    fn receive_stream(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (count, deadline) = (request.number("count")?, request.deadline(STREAM_MS)?);
        let batch: usize = request.number_or("batch", 1)?;
        let mut chan = chan.borrow_mut();
        let mut received = Received::default();
        let mut buffer = vec![0; 65536];
        while received.count < count {
            if request.flag("zero_copy") {
                let message = chan.receive(deadline, |channel| channel.receiver().try_receive(flow))?;
                received.add(&self.pattern, message.tag(), &message);
            } else if batch > 1 {
                let left = (count - received.count).min(batch as u64) as usize;
                let mut packed = Batch::with_capacity(left, 65536);
                chan.receive(deadline, |channel| receive_batch(channel, Some(flow), &mut packed))?;
                packed.iter().for_each(|message| received.add(&self.pattern, message.tag(), message.bytes()));
            } else {
                let info = chan.receive(deadline, |channel| receive_into(channel, Some(flow), &mut buffer))?;
                received.add(&self.pattern, info.tag, &buffer[..info.length]);
            }
        }
        Ok(result(&received))
    }

    fn echo(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (count, deadline): (u64, _) = (request.number("count")?, request.deadline(STREAM_MS)?);
        let mut chan = chan.borrow_mut();
        for _ in 0..count {
            let message = chan.receive(deadline, |channel| channel.receiver().try_receive(flow))?;
            chan.send(flow, deadline, |channel| channel.sender().try_send(flow, &message, message.tag()))?;
        }
        Ok(Json::map([("count", Json::number(count))]))
    }
}

pub fn result(received: &Received) -> Json {
    Json::map([
        ("count", Json::number(received.count)),
        ("bytes", Json::number(received.bytes)),
        ("crc", Json::number(received.crc.into())),
    ])
}

fn send_reserved(chan: &mut Chan, flow: FlowToken, message: (&[u8], u64), deadline: Deadline) -> Result<(), Fail> {
    let (bytes, tag) = message;
    let mut buffer = chan.send(flow, deadline, |channel| channel.sender().try_reserve(flow, bytes.len()))?;
    buffer.copy_from_slice(bytes);
    let mut place = Some(buffer);
    chan.send(flow, deadline, |channel| match place.take().map(|buffer| channel.sender().commit(buffer, tag)) {
        Some(Err(failed)) => {
            let error = failed.error().clone();
            place = Some(failed.into_reservation());
            Err(error)
        }
        _ => Ok(()),
    })
}

fn send_batch(
    chan: &mut Chan,
    flow: FlowToken,
    stream: &Stream,
    messages: std::ops::Range<u64>,
    pattern: &Pattern,
    deadline: Deadline,
) -> Result<(), Fail> {
    let mut batch = Batch::with_capacity(1, 0);
    for k in messages {
        let (bytes, tag) = stream.message(pattern, k);
        batch.push(flow, bytes, tag);
    }
    while !batch.is_empty() {
        chan.send(flow, deadline, |channel| channel.sender().try_send_batch(&mut batch))?;
    }
    Ok(())
}

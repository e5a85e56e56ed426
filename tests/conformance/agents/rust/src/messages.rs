// SPDX-License-Identifier: MIT
//! One message, or one batch.

use std::thread;

use machnet::{Batch, ErrorKind, FlowToken, MessageInfo, MESSAGE_MAX};

use crate::json::Json;
use crate::objects::{ChanRef, Object};
use crate::request::{done, fault, Answer, Fail, Request, WAIT_MS};
use crate::Agent;

impl Agent {
    /// `None`: not one of these.
    pub fn messages(&mut self, op: &str, request: &Request) -> Option<Answer> {
        Some(match op {
            "send" => self.send(request),
            "send_batch" => self.send_batch(request),
            "receive" => self.receive(request),
            "receive_batch" => self.receive_batch(request),
            "borrow" => self.borrow(request),
            "check" => self.check(request),
            "release" => self.release(request),
            "reserve" => self.reserve(request),
            "commit" => self.commit(request),
            "abandon" => self.abandon(request),
            _ => return None,
        })
    }

    fn payload(&self, request: &Request) -> Result<&[u8], Fail> {
        let length = request.number("length")?;
        if length > MESSAGE_MAX + 4096 {
            return fault(format!("a payload of {length} bytes"));
        }
        Ok(self.pattern.payload(request.number("seed")?, length))
    }

    fn message_json(&self, chan: &ChanRef, flow: FlowToken, tag: u64, bytes: &[u8]) -> Json {
        Json::map([
            ("flow", self.objects.flow_name(chan, Some(flow))),
            ("length", Json::number(bytes.len() as u64)),
            ("tag", Json::text(tag.to_string())),
            ("crc", Json::number(self.pattern.crc32(0, bytes).into())),
        ])
    }

    fn send(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (bytes, tag) = (self.payload(request)?, request.tag()?);
        let deadline = request.deadline(WAIT_MS)?;
        chan.borrow_mut().send(flow, deadline, |channel| channel.sender().try_send(flow, bytes, tag))?;
        done()
    }

    fn send_batch(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let deadline = request.deadline(WAIT_MS)?;
        let mut batch = Batch::with_capacity(request.list("messages").len(), 0);
        for message in request.list("messages") {
            let message = Request(message.clone());
            let on = if message.has("flow") { self.objects.flow(&message)?.1 } else { flow };
            batch.push(on, self.payload(&message)?, message.tag()?);
        }
        let mut sent = 0;
        while !batch.is_empty() {
            let on = batch.iter().next().map_or(flow, |message| message.flow());
            let result = chan.borrow_mut().send(on, deadline, |channel| channel.sender().try_send_batch(&mut batch));
            match result {
                Ok(count) => sent += count,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
            if !deadline.waits {
                break;
            }
        }
        Ok(Json::map([("count", Json::number(sent as u64))]))
    }

    fn receive(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.source(request)?;
        let deadline = request.deadline(WAIT_MS)?;
        let fixed = request.has("capacity");
        let mut buffer = vec![0; request.number_or("capacity", 65536)?];
        let info = chan.borrow_mut().receive(deadline, |channel| match fixed {
            true => channel.receiver().try_receive_into(flow, &mut buffer),
            false => receive_into(channel, flow, &mut buffer),
        })?;
        Ok(self.message_json(&chan, info.flow, info.tag, &buffer[..info.length]))
    }

    fn receive_batch(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.source(request)?;
        let deadline = request.deadline(WAIT_MS)?;
        let mut batch = Batch::with_capacity(request.number("max")?, 65536);
        chan.borrow_mut().receive(deadline, |channel| receive_batch(channel, flow, &mut batch))?;
        let list = batch.iter().map(|message| self.message_json(&chan, message.flow(), message.tag(), message.bytes()));
        Ok(Json::map([("messages", Json::List(list.collect()))]))
    }

    fn borrow(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.source(request)?;
        let deadline = request.deadline(WAIT_MS)?;
        let message = chan.borrow_mut().receive(deadline, |channel| channel.receiver().try_receive(flow))?;
        let answer = self.message_json(&chan, message.flow(), message.tag(), &message);
        self.objects.add(request, "message", Object::Message(chan, Some(message)))?;
        Ok(answer)
    }

    fn check(&mut self, request: &Request) -> Answer {
        let (chan, message) = self.objects.message(request)?;
        Ok(self.message_json(chan, message.flow(), message.tag(), message))
    }

    fn release(&mut self, request: &Request) -> Answer {
        let message = self.objects.take_message(request)?;
        if request.flag("thread") {
            thread::spawn(move || drop(message)).join().map_err(|_| Fail::Agent("the thread".into()))?;
        }
        done()
    }

    fn reserve(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (length, deadline) = (request.number("length")?, request.deadline(WAIT_MS)?);
        let buffer = chan.borrow_mut().send(flow, deadline, |channel| channel.sender().try_reserve(flow, length))?;
        let length = Json::number(buffer.len() as u64);
        self.objects.add(request, "buffer", Object::Buffer(chan, Some(buffer)))?;
        Ok(Json::map([("length", length)]))
    }

    fn commit(&mut self, request: &Request) -> Answer {
        let payload = self.payload(request)?.to_vec();
        let (chan, place) = self.objects.buffer(request)?;
        let chan = chan.borrow();
        let channel = chan.channel()?;
        if place.as_ref().map_or(0, |buffer| buffer.len()) < payload.len() {
            return Err(Fail::NotApplicable("a reservation can only be made shorter"));
        }
        if let Some(mut buffer) = place.take() {
            buffer[..payload.len()].copy_from_slice(&payload);
            buffer.truncate(payload.len());
            if let Err(failed) = channel.sender().commit(buffer, request.tag()?) {
                let error = failed.error().clone();
                *place = Some(failed.into_reservation());
                return Err(error.into());
            }
        }
        done()
    }

    fn abandon(&mut self, request: &Request) -> Answer {
        drop(self.objects.buffer(request)?.1.take());
        done()
    }
}

/// Fills the batch, which grows if already the first message does not fit.
pub fn receive_batch(
    channel: &machnet::Channel,
    flow: Option<FlowToken>,
    batch: &mut Batch,
) -> machnet::Result<Option<usize>> {
    loop {
        match channel.receiver().try_receive_batch(flow, batch) {
            Err(error) if error.kind() == ErrorKind::MessageSize => {
                batch.reserve_bytes(error.message_info().map_or(MESSAGE_MAX, |info| info.length))
            }
            result => return result.map(|count| Some(count).filter(|&count| count > 0)),
        }
    }
}

/// Copies into the buffer, which grows if the message does not fit.
pub fn receive_into(
    channel: &machnet::Channel,
    flow: Option<FlowToken>,
    buffer: &mut Vec<u8>,
) -> machnet::Result<Option<MessageInfo>> {
    loop {
        match channel.receiver().try_receive_into(flow, buffer) {
            Err(error) if error.kind() == ErrorKind::MessageSize => {
                buffer.resize(error.message_info().map_or(MESSAGE_MAX, |info| info.length), 0)
            }
            result => return result,
        }
    }
}

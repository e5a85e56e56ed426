// SPDX-License-Identifier: MIT
//! Contexts, channels, listeners and flows: opened, asked, closed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use machnet::{Address, Channel, Context, Error, Event, FlowState, Handle, Options, Poll};

use crate::json::Json;
use crate::objects::{Chan, Object};
use crate::request::{done, Answer, Deadline, Fail, Request, WAIT_MS};
use crate::Agent;

impl Agent {
    /// `None`: not one of these.
    pub fn open(&mut self, op: &str, request: &Request) -> Option<Answer> {
        Some(match op {
            "open_context" => self.open_context(request),
            "status" => self.status(request),
            "close_context" => self.close(request, "context"),
            "open_channel" => self.open_channel(request),
            "shutdown" => self.with_handle(request, Handle::shutdown),
            "wake" => self.with_handle(request, Handle::wake),
            "close_channel" => self.close(request, "channel"),
            "stats" => self.stats(request),
            "listen" => self.listen(request),
            "accept" => self.accept(request),
            "close_listener" => self.close_listener(request),
            "open_flow" => self.open_flow(request, true),
            "start_flow" => self.open_flow(request, false),
            "wait_open" => self.wait_open(request),
            "wait_closed" => self.wait_closed(request),
            "wait_send_space" => self.wait_send_space(request),
            "wait_stalled" => self.wait_stalled(request),
            "events" => self.events(request),
            "addresses" => self.addresses(request),
            "info" => self.info(request),
            "close_flow" => self.close_flow(request),
            _ => return None,
        })
    }

    fn open_context(&mut self, request: &Request) -> Answer {
        let context = Context::open_with(&Options::new().socket_path(request.text("socket")?))?;
        self.objects.add(request, "context", Object::Context(Some(context)))?;
        done()
    }

    fn status(&mut self, request: &Request) -> Answer {
        let status = self.objects.context(request)?.status()?;
        Ok(Json::map([("status", Json::Raw(status.trim_end().to_string()))]))
    }

    fn close(&mut self, request: &Request, field: &str) -> Answer {
        match field {
            "context" => drop(self.objects.context(request)?),
            _ => drop(self.objects.channel(request)?.borrow().channel()?),
        }
        if let Some(object) = self.objects.named.get_mut(request.text(field)?) {
            object.close();
        }
        done()
    }

    fn open_channel(&mut self, request: &Request) -> Answer {
        let mut options = Options::new();
        if let Some(name) = request.text_or_none("name") {
            options = options.name(name);
        }
        if request.has("send_bytes") {
            options = options.send_bytes(request.number("send_bytes")?);
        }
        if request.has("receive_bytes") {
            options = options.receive_bytes(request.number("receive_bytes")?);
        }
        if request.has("spin_ns") {
            options = options.spin(Duration::from_nanos(request.number("spin_ns")?));
        }
        if request.has("option") {
            options = options.set_u64(request.number("option")?, 1);
        }
        options = match request.text_or_none("poll") {
            Some("spin") => options.poll(Poll::Spin),
            Some("sleep") => options.poll(Poll::Sleep),
            Some(_) => options.poll(Poll::Adaptive),
            None => options,
        };
        let channel = Channel::open_with(self.objects.context(request)?, &options)?;
        let chan = Rc::new(RefCell::new(Chan { channel: Some(channel), told: Vec::new() }));
        self.objects.add(request, "channel", Object::Channel(chan))?;
        done()
    }

    fn with_handle(&mut self, request: &Request, call: fn(&Handle) -> machnet::Result<()>) -> Answer {
        call(self.objects.channel(request)?.borrow().handle()?)?;
        done()
    }

    fn stats(&mut self, request: &Request) -> Answer {
        let stats = self.objects.channel(request)?.borrow().handle()?.stats()?;
        let fields = stats.iter().map(|(name, value)| (name.to_string(), Json::number(value)));
        Ok(Json::map([("stats", Json::Map(fields.collect()))]))
    }

    fn listen(&mut self, request: &Request) -> Answer {
        let chan = self.objects.channel(request)?;
        let listener = chan.borrow().handle()?.listen(request.address("address")?)?;
        let address = listener.address()?;
        self.objects.add(request, "listener", Object::Listener(chan, listener.token()))?;
        Ok(Json::map([("address", Json::text(address.to_string()))]))
    }

    fn accept(&mut self, request: &Request) -> Answer {
        let (chan, by) = self.objects.listener(request)?;
        chan.borrow().handle()?.listener_address(by)?; // is it open still?
        let wanted = |event: &Event| matches!(event, Event::Accepted { listener, .. } if *listener == by);
        let event = chan.borrow_mut().event(request.deadline(WAIT_MS)?, wanted)?;
        let flow = event.flow().ok_or_else(|| Fail::Agent("no flow".into()))?;
        self.objects.add(request, "flow", Object::Flow(chan, flow))?;
        done()
    }

    fn close_listener(&mut self, request: &Request) -> Answer {
        let (chan, listener) = self.objects.listener(request)?;
        chan.borrow().handle()?.close_listener(listener)?;
        done()
    }

    fn open_flow(&mut self, request: &Request, waits: bool) -> Answer {
        let chan = self.objects.channel(request)?;
        let remote = request.address("remote")?;
        let local = if request.has("local") { request.address("local")? } else { Address::ANY };
        let mut options = Options::new();
        if request.has("open_timeout_ms") {
            options = options.open_timeout(Duration::from_millis(request.number("open_timeout_ms")?));
        }
        let deadline = request.deadline(WAIT_MS)?;
        let token = match chan.borrow().channel()? {
            channel if waits && deadline.waits => {
                let flow = channel.connect_with(remote, local, &options, deadline.left());
                flow.map_err(|error| deadline.say(error))?.token()
            }
            channel => channel.sender().open_flow_with(remote, local, &options)?,
        };
        self.objects.add(request, "flow", Object::Flow(chan, token))?;
        done()
    }

    fn wait_open(&mut self, request: &Request) -> Answer {
        let (chan, token) = self.objects.flow(request)?;
        let mut chan = chan.borrow_mut();
        chan.handle()?.flow_info(token)?; // is it ours still?
        let wanted = |event: &Event| match *event {
            Event::Established { flow } | Event::Closed { flow, .. } => flow == token,
            _ => false,
        };
        match chan.event(request.deadline(WAIT_MS)?, wanted)? {
            Event::Closed { reason: Err(error), .. } => Err(error.into()),
            _ => done(),
        }
    }

    fn wait_closed(&mut self, request: &Request) -> Answer {
        let (chan, token) = self.objects.flow(request)?;
        let wanted = |event: &Event| matches!(event, Event::Closed { flow, .. } if *flow == token);
        let event = chan.borrow_mut().event(request.deadline(WAIT_MS)?, wanted)?;
        match event {
            Event::Closed { reason, .. } => Ok(Json::map([("status", status_of(reason))])),
            _ => done(),
        }
    }

    fn wait_send_space(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        chan.borrow_mut().event(request.deadline(WAIT_MS)?, |event| *event == Event::SendSpace { flow })?;
        done()
    }

    fn wait_stalled(&mut self, request: &Request) -> Answer {
        let chan = self.objects.channel(request)?;
        let wanted = |event: &Event| matches!(event, Event::ReceiveStalled { .. });
        let event = chan.borrow_mut().event(request.deadline(WAIT_MS)?, wanted)?;
        let value = match event {
            Event::ReceiveStalled { bytes, .. } => bytes,
            _ => 0,
        };
        Ok(Json::map([("flow", self.objects.flow_name(&chan, event.flow())), ("value", Json::number(value))]))
    }

    fn events(&mut self, request: &Request) -> Answer {
        let chan = self.objects.channel(request)?;
        let pumped = chan.borrow_mut().pump();
        let told = std::mem::take(&mut chan.borrow_mut().told);
        if told.is_empty() {
            pumped?;
        }
        let list = told.into_iter().map(|event| {
            let flow = self.objects.flow_name(&chan, event.flow());
            let (name, status) = match event {
                Event::Established { .. } => ("ESTABLISHED", Ok(())),
                Event::Accepted { .. } => ("ACCEPTED", Ok(())),
                Event::Closed { reason, .. } => ("CLOSED", reason),
                Event::SendSpace { .. } => ("SEND_SPACE", Ok(())),
                Event::ReceiveStalled { .. } => ("RECEIVE_STALLED", Ok(())),
                Event::ListenerClosed { .. } => ("LISTENER_CLOSED", Ok(())),
                _ => ("UNKNOWN", Ok(())),
            };
            Json::map([("type", Json::text(name)), ("flow", flow), ("status", status_of(status))])
        });
        Ok(Json::map([("events", Json::List(list.collect()))]))
    }

    fn addresses(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let (local, remote) = chan.borrow().handle()?.flow_addresses(flow)?;
        Ok(Json::map([("local", Json::text(local.to_string())), ("remote", Json::text(remote.to_string()))]))
    }

    fn info(&mut self, request: &Request) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let info = chan.borrow().handle()?.flow_info(flow)?;
        let state = match info.state {
            FlowState::Opening => "OPENING",
            FlowState::Open => "OPEN",
            FlowState::Ended => "ENDED",
            _ => "OTHER",
        };
        Ok(Json::map([
            ("state", Json::text(state)),
            ("status", status_of(info.reason)),
            ("messages_sent", Json::number(info.messages_sent)),
            ("messages_acknowledged", Json::number(info.messages_acknowledged)),
            ("messages_received", Json::number(info.messages_received)),
            ("messages_queued", Json::number(info.messages_queued)),
            ("bytes_unacknowledged", Json::number(info.bytes_unacknowledged)),
        ]))
    }

    fn close_flow(&mut self, request: &Request) -> Answer {
        let (chan, token) = self.objects.flow(request)?;
        let abort = request.flag("abort");
        chan.borrow_mut().send(token, Deadline::NOW, |channel| match channel.flow(token) {
            flow if abort => flow.abort(),
            flow => flow.close(),
        })?;
        done()
    }
}

fn status_of(reason: Result<(), Error>) -> Json {
    Json::text(reason.map_or_else(|error| error.name(), |()| "MACHNET_OK"))
}

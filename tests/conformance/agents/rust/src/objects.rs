// SPDX-License-Identifier: MIT
//! The objects that the driver has named, and the waits of a channel.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use machnet::{
    Channel, Context, ErrorKind, Event, FlowToken, Handle, ListenerToken, Message, Reservation, Result as Outcome, Wait,
};

use crate::json::Json;
use crate::request::{fault, Deadline, Fail, Request};

const DROPPED: Fail = Fail::NotApplicable("closing is dropping, and the compiler refuses what uses it afterwards");

/// A channel, until it is dropped, and its events that nobody has asked for.
pub struct Chan {
    pub channel: Option<Channel>,
    pub told: Vec<Event>,
}

pub type ChanRef = Rc<RefCell<Chan>>;

impl Chan {
    pub fn channel(&self) -> Result<&Channel, Fail> {
        self.channel.as_ref().ok_or(DROPPED)
    }

    pub fn handle(&self) -> Result<&Handle, Fail> {
        Ok(self.channel()?.handle())
    }

    /// Moves all events that are there to those told.
    pub fn pump(&mut self) -> Result<(), Fail> {
        let channel = self.channel.as_ref().ok_or(DROPPED)?;
        channel.receiver().try_events(&mut self.told)?;
        Ok(())
    }

    pub fn take(&mut self, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        let at = self.told.iter().position(wanted)?;
        Some(self.told.remove(at))
    }

    /// The first event that is wanted; waits for it.
    pub fn event(&mut self, deadline: Deadline, wanted: impl Fn(&Event) -> bool) -> Result<Event, Fail> {
        loop {
            let pumped = self.pump();
            if let Some(event) = self.take(&wanted) {
                return Ok(event);
            }
            pumped?;
            self.wait(Wait::EVENT, deadline.left(), deadline)?;
        }
    }

    fn wait(&self, what: Wait, left: Option<Duration>, deadline: Deadline) -> Result<(), Fail> {
        match self.channel()?.receiver().wait(what, left) {
            Err(error) if error.kind() != ErrorKind::EngineGone => Err(deadline.say(error)),
            _ => Ok(()),
        }
    }

    /// Calls `take` until it has something, and waits for messages in between.
    pub fn receive<T>(
        &mut self,
        deadline: Deadline,
        mut take: impl FnMut(&Channel) -> Outcome<Option<T>>,
    ) -> Result<T, Fail> {
        loop {
            if let Some(taken) = take(self.channel()?)? {
                return Ok(taken);
            }
            // A message of any flow is held back until its flow's Accepted was taken. If the channel is gone the next call says so.
            if self.pump().is_ok() {
                deadline.check()?;
                self.wait(Wait::RECEIVE | Wait::EVENT, deadline.left(), deadline)?;
            }
        }
    }

    /// Calls `send` until there was space, and waits in between.
    pub fn send<T>(
        &mut self,
        flow: FlowToken,
        deadline: Deadline,
        mut send: impl FnMut(&Channel) -> Outcome<T>,
    ) -> Result<T, Fail> {
        loop {
            match send(self.channel()?) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && deadline.waits => {}
                result => {
                    self.take(|event| *event == Event::SendSpace { flow });
                    return Ok(result?);
                }
            }
            deadline.check()?;
            let look_again = Duration::from_millis(10); // that the flow has ended is told by the next try only
            let left = deadline.left().map_or(look_again, |left| left.min(look_again));
            match self.wait(Wait::SEND, Some(left), deadline) {
                Err(Fail::Status(_)) => {}
                result => result?,
            }
        }
    }
}

pub enum Object {
    Context(Option<Context>),
    Channel(ChanRef),
    Listener(ChanRef, ListenerToken),
    Flow(ChanRef, FlowToken),
    Message(ChanRef, Option<Message>),
    Buffer(ChanRef, Option<Reservation>),
}

#[derive(Default)]
pub struct Objects {
    pub named: HashMap<String, Object>,
}

impl Objects {
    pub fn add(&mut self, request: &Request, field: &str, object: Object) -> Result<(), Fail> {
        self.named.insert(request.text(field)?.to_string(), object);
        Ok(())
    }

    fn find<'a, T>(
        &'a self,
        request: &Request,
        field: &str,
        pick: impl Fn(&'a Object) -> Option<T>,
    ) -> Result<T, Fail> {
        let name = request.text(field)?;
        match self.named.get(name).and_then(pick) {
            Some(found) => Ok(found),
            None => fault(format!("no {field} {name}")),
        }
    }

    pub fn context(&self, request: &Request) -> Result<&Context, Fail> {
        let context = self.find(request, "context", |object| match object {
            Object::Context(context) => Some(context),
            _ => None,
        })?;
        context.as_ref().ok_or(DROPPED)
    }

    pub fn channel(&self, request: &Request) -> Result<ChanRef, Fail> {
        self.find(request, "channel", |object| match object {
            Object::Channel(channel) => Some(channel.clone()),
            _ => None,
        })
    }

    pub fn listener(&self, request: &Request) -> Result<(ChanRef, ListenerToken), Fail> {
        self.find(request, "listener", |object| match object {
            Object::Listener(channel, listener) => Some((channel.clone(), *listener)),
            _ => None,
        })
    }

    pub fn flow(&self, request: &Request) -> Result<(ChanRef, FlowToken), Fail> {
        self.find(request, "flow", |object| match object {
            Object::Flow(channel, token) => Some((channel.clone(), *token)),
            _ => None,
        })
    }

    /// The channel of a receive, and the flow, or any.
    pub fn source(&self, request: &Request) -> Result<(ChanRef, Option<FlowToken>), Fail> {
        if request.has("flow") {
            let (channel, flow) = self.flow(request)?;
            return Ok((channel, Some(flow)));
        }
        Ok((self.channel(request)?, None))
    }

    pub fn message(&self, request: &Request) -> Result<(&ChanRef, &Message), Fail> {
        let (channel, message) = self.find(request, "message", |object| match object {
            Object::Message(channel, message) => Some((channel, message)),
            _ => None,
        })?;
        Ok((channel, message.as_ref().ok_or(DROPPED)?))
    }

    pub fn take_message(&mut self, request: &Request) -> Result<Message, Fail> {
        match self.named.get_mut(request.text("message")?) {
            Some(Object::Message(_, message)) => message.take().ok_or(DROPPED),
            _ => fault("no such message"),
        }
    }

    pub fn buffer(&mut self, request: &Request) -> Result<(ChanRef, &mut Option<Reservation>), Fail> {
        match self.named.get_mut(request.text("buffer")?) {
            Some(Object::Buffer(_, None)) => Err(DROPPED),
            Some(Object::Buffer(channel, buffer)) => Ok((channel.clone(), buffer)),
            _ => fault("no such buffer"),
        }
    }

    pub fn flow_name(&self, channel: &ChanRef, token: Option<FlowToken>) -> Json {
        let is_it = |object: &Object| match object {
            Object::Flow(owner, flow) => Rc::ptr_eq(owner, channel) && Some(*flow) == token,
            _ => false,
        };
        self.named.iter().find(|(_, object)| is_it(object)).map_or(Json::Null, |(name, _)| Json::text(name))
    }

    /// Closes and forgets all objects but those in `keep` and what these stand on.
    pub fn reset(&mut self, keep: &[Json]) {
        let kept = |name: &str| keep.iter().any(|one| matches!(one, Json::Text(text) if text == name));
        let owners: Vec<ChanRef> =
            self.named.iter().filter(|(name, _)| kept(name)).filter_map(|(_, o)| o.owner()).collect();
        let contexts = !keep.is_empty();
        self.named.retain(|name, object| {
            let stays = match object {
                Object::Channel(channel) => owners.iter().any(|owner| Rc::ptr_eq(owner, channel)),
                Object::Context(_) => contexts,
                _ => false,
            };
            let stays = stays || kept(name);
            if !stays {
                object.close();
            }
            stays
        });
        self.purge();
    }

    /// Drops events that belong to no flow that has a name or is still to be accepted.
    fn purge(&mut self) {
        let channels: Vec<ChanRef> = self.named.values().filter_map(Object::as_channel).collect();
        for channel in channels {
            let mut chan: RefMut<Chan> = channel.borrow_mut();
            let _ = chan.pump();
            let told = std::mem::take(&mut chan.told);
            let accepted: Vec<_> =
                told.iter().filter(|event| matches!(event, Event::Accepted { .. })).map(Event::flow).collect();
            let wanted = |event: &Event| {
                accepted.contains(&event.flow()) || self.flow_name(&channel, event.flow()) != Json::Null
            };
            chan.told = told.into_iter().filter(wanted).collect();
        }
    }
}

impl Object {
    fn as_channel(&self) -> Option<ChanRef> {
        match self {
            Object::Channel(channel) => Some(channel.clone()),
            _ => None,
        }
    }

    fn owner(&self) -> Option<ChanRef> {
        match self {
            Object::Context(_) => None,
            Object::Channel(channel)
            | Object::Listener(channel, _)
            | Object::Flow(channel, _)
            | Object::Message(channel, _)
            | Object::Buffer(channel, _) => Some(channel.clone()),
        }
    }

    /// Closes it, whatever its state.
    pub fn close(&mut self) {
        match self {
            Object::Context(context) => drop(context.take()),
            Object::Channel(channel) => drop(channel.borrow_mut().channel.take()),
            Object::Listener(channel, token) => {
                if let Some(channel) = &channel.borrow().channel {
                    let _ = channel.handle().close_listener(*token);
                }
            }
            Object::Flow(channel, token) => {
                if let Some(channel) = &channel.borrow().channel {
                    let _ = channel.flow(*token).close();
                }
            }
            Object::Message(_, message) => drop(message.take()),
            Object::Buffer(_, buffer) => drop(buffer.take()),
        }
    }
}

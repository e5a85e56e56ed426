// SPDX-License-Identifier: MIT
//! What concerns the whole process: fork and signals.

use std::io::{Read, Write};
use std::os::raw::c_int;
use std::os::unix::net::UnixStream;

use machnet::{Channel, Context, Error, Options};

use crate::json::Json;
use crate::request::{done, fault, Answer, Request};
use crate::Agent;

const SIGUSR1: c_int = 10;

extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn siginterrupt(number: c_int, flag: c_int) -> c_int;
}

extern "C" fn nothing(_: c_int) {}

impl Agent {
    /// `None`: not one of these.
    pub fn processes(&mut self, op: &str, request: &Request) -> Option<Answer> {
        Some(match op {
            "fork" => self.fork(request),
            "handle_signal" => {
                // SAFETY: the handler does nothing.
                unsafe {
                    signal(SIGUSR1, nothing);
                    siginterrupt(SIGUSR1, 1);
                }
                done()
            }
            _ => return None,
        })
    }

    fn fork(&mut self, request: &Request) -> Answer {
        let (ours, theirs) = match UnixStream::pair() {
            Ok(pair) => pair,
            Err(error) => return fault(error.to_string()),
        };
        let before = self.objects.message(request)?.1.to_vec();
        // SAFETY: this is the only thread, and the child ends by _exit.
        let child = unsafe { fork() };
        if child == 0 {
            let told = self.in_child(request, &before).unwrap_or(Json::Null);
            let written = write!(&theirs, "{told}");
            // SAFETY: the child must not clean up what is the parent's.
            unsafe { _exit(c_int::from(written.is_err())) };
        }
        drop(theirs);
        let mut text = String::new();
        let read = (&ours).read_to_string(&mut text);
        let mut status = -1;
        // SAFETY: the child is ours, the status valid to be written.
        if child < 0 || unsafe { waitpid(child, &mut status, 0) } != child || status != 0 || read.is_err() {
            return fault(format!("the child ended with {status}"));
        }
        Ok(Json::Raw(text))
    }

    fn in_child(&self, request: &Request, before: &[u8]) -> Answer {
        let (chan, flow) = self.objects.flow(request)?;
        let chan = chan.borrow();
        let channel = chan.channel()?;
        let (sender, receiver) = (channel.sender(), channel.receiver());
        let socket = request.text("socket")?;
        let own = Context::open_with(&Options::new().socket_path(socket)).and_then(|context| Channel::open(&context));
        let inherited = Json::map([
            ("send", name(sender.try_send(flow, b"x", 0))),
            ("receive", name(receiver.try_receive(flow))),
            ("reserve", name(sender.try_reserve(flow, 1))),
            ("info", name(channel.handle().flow_info(flow))),
            ("stats", name(channel.handle().stats())),
            ("open_channel", name(Channel::open(self.objects.context(request)?))),
        ]);
        Ok(Json::map([
            ("inherited", inherited),
            ("readable", Json::Bool(**self.objects.message(request)?.1 == *before)),
            ("own", name(own)),
        ]))
    }
}

fn name<T>(result: Result<T, Error>) -> Json {
    Json::text(result.map_or_else(|error| error.name(), |_| "MACHNET_OK"))
}

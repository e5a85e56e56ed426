// SPDX-License-Identifier: MIT
//! The conformance agent in Rust: `../../README.md` is its specification. Reads requests, calls the operation, writes answers.

mod json;
mod messages;
mod objects;
mod open;
mod pattern;
mod process;
mod request;
mod streams;
mod threads;

use std::io::{self, BufRead, Write};

use json::Json;
use machnet::{Error, ErrorKind};
use objects::Objects;
use pattern::Pattern;
use request::{done, fault, Answer, Fail, Request};

pub struct Agent {
    pub objects: Objects,
    pub pattern: Pattern,
}

impl Agent {
    fn handle(&mut self, request: &Request) -> Answer {
        match request.text("op")? {
            "hello" => {
                Ok(Json::map([("language", Json::text("rust")), ("library", Json::text(machnet::library_version()))]))
            }
            "reset" => {
                self.objects.reset(request.list("keep"));
                done()
            }
            "lose" => {
                for name in request.list("names") {
                    if let Json::Text(name) = name {
                        self.objects.named.remove(name);
                    }
                }
                done()
            }
            "collect" | "gc_stress" => Err(Fail::NotApplicable("Rust has no garbage collector")),
            "raw" => Err(Fail::NotApplicable("calls of the C ABI")),
            op => self
                .open(op, request)
                .or_else(|| self.messages(op, request))
                .or_else(|| self.streams(op, request))
                .or_else(|| self.threads(op, request))
                .or_else(|| self.processes(op, request))
                .unwrap_or_else(|| fault(format!("no operation {op}"))),
        }
    }
}

fn error_json(error: &Error) -> Json {
    let mut fields =
        vec![("status".to_string(), Json::text(error.name())), ("message".to_string(), Json::text(error.message()))];
    if let (ErrorKind::MessageSize, Some(info)) = (error.kind(), error.message_info()) {
        fields.push(("length".to_string(), Json::number(info.length as u64)));
    }
    Json::Map(fields)
}

fn answer_json(id: Json, answer: Answer) -> Json {
    let status = |status: &str, text: &str| Json::map([("status", Json::text(status)), ("message", Json::text(text))]);
    let (field, value) = match answer {
        Ok(results) => ("ok", results),
        Err(Fail::Error(error)) => ("error", error_json(&error)),
        Err(Fail::Status(name)) => ("error", status(name, "the time is over")),
        Err(Fail::NotApplicable(why)) => ("na", Json::text(why)),
        Err(Fail::Agent(why)) => ("error", status("AGENT", &why)),
    };
    Json::map([("id", id), (field, value)])
}

fn main() -> io::Result<()> {
    let mut agent = Agent { objects: Objects::default(), pattern: Pattern::new() };
    for line in io::stdin().lock().lines() {
        let line = line?;
        let request = Json::parse(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, line))?;
        let id = request.get("id").cloned().unwrap_or(Json::Null);
        let answer = agent.handle(&Request(request));
        let mut out = io::stdout().lock();
        writeln!(out, "{}", answer_json(id, answer))?;
        out.flush()?;
    }
    agent.objects.reset(&[]);
    Ok(())
}

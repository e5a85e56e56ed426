// SPDX-License-Identifier: MIT
//! What requests say, and how they fail.

use std::time::{Duration, Instant};

use machnet::{Address, Error, ErrorKind};

use crate::json::Json;
use crate::pattern::Stream;

pub enum Fail {
    Error(Error),
    /// A status for which there is no error: of a time that is over.
    Status(&'static str),
    NotApplicable(&'static str),
    /// The driver or this agent is wrong.
    Agent(String),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Fail {
        Fail::Error(error)
    }
}

pub type Answer = Result<Json, Fail>;

/// An answer without results.
pub fn done() -> Answer {
    Ok(Json::Map(Vec::new()))
}

pub fn fault<T>(text: impl Into<String>) -> Result<T, Fail> {
    Err(Fail::Agent(text.into()))
}

pub struct Request(pub Json);

impl Request {
    pub fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some()
    }

    pub fn text_or_none(&self, field: &str) -> Option<&str> {
        match self.0.get(field) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn text(&self, field: &str) -> Result<&str, Fail> {
        self.text_or_none(field).ok_or_else(|| Fail::Agent(format!("no text {field}")))
    }

    pub fn number<T: std::str::FromStr>(&self, field: &str) -> Result<T, Fail> {
        match self.0.get(field) {
            Some(Json::Number(text)) => text.parse().map_err(|_| Fail::Agent(format!("{field} is {text}"))),
            _ => fault(format!("no number {field}")),
        }
    }

    pub fn number_or<T: std::str::FromStr>(&self, field: &str, absent: T) -> Result<T, Fail> {
        if self.has(field) {
            self.number(field)
        } else {
            Ok(absent)
        }
    }

    pub fn flag(&self, field: &str) -> bool {
        self.0.get(field) == Some(&Json::Bool(true))
    }

    pub fn list(&self, field: &str) -> &[Json] {
        match self.0.get(field) {
            Some(Json::List(items)) => items,
            _ => &[],
        }
    }

    pub fn tag(&self) -> Result<u64, Fail> {
        let text = self.text_or_none("tag").unwrap_or("0");
        text.parse().map_err(|_| Fail::Agent(format!("tag {text}")))
    }

    pub fn address(&self, field: &str) -> Result<Address, Fail> {
        Ok(self.text(field)?.parse()?)
    }

    pub fn deadline(&self, absent_ms: i64) -> Result<Deadline, Fail> {
        Ok(match self.number_or("timeout_ms", absent_ms)? {
            0 => Deadline { end: Some(Instant::now()), waits: false },
            ms if ms < 0 => Deadline { end: None, waits: true },
            ms => Deadline { end: Some(Instant::now() + Duration::from_millis(ms as u64)), waits: true },
        })
    }

    pub fn stream(&self) -> Result<Stream, Fail> {
        let lengths = self.list("lengths").iter().map(|length| length.to_string().parse().unwrap_or(0)).collect();
        Ok(Stream { seed: self.number("seed")?, tag: self.tag()?, count: self.number("count")?, lengths })
    }
}

pub const WAIT_MS: i64 = 5000;
pub const STREAM_MS: i64 = 20000;

#[derive(Clone, Copy)]
pub struct Deadline {
    end: Option<Instant>,
    pub waits: bool,
}

impl Deadline {
    pub const NOW: Deadline = Deadline { end: None, waits: false };

    pub fn left(&self) -> Option<Duration> {
        match self.waits {
            true => self.end.map(|end| end.saturating_duration_since(Instant::now())),
            false => Some(Duration::ZERO),
        }
    }

    /// Fails if the time is over.
    pub fn check(&self) -> Result<(), Fail> {
        if self.left() == Some(Duration::ZERO) {
            return Err(self.over());
        }
        Ok(())
    }

    pub fn over(&self) -> Fail {
        Fail::Status(if self.waits { "MACHNET_ETIMEDOUT" } else { "MACHNET_EAGAIN" })
    }

    /// `TimedOut` as the protocol says it.
    pub fn say(&self, error: Error) -> Fail {
        match error.kind() {
            ErrorKind::TimedOut => self.over(),
            _ => error.into(),
        }
    }
}

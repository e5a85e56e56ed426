// SPDX-License-Identifier: MIT
//! As much of JSON as requests and answers need.

use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
    /// JSON that somebody else has written.
    Raw(String),
}

impl Json {
    pub fn number(value: u64) -> Json {
        Json::Number(value.to_string())
    }

    pub fn text(value: impl Into<String>) -> Json {
        Json::Text(value.into())
    }

    pub fn map<const N: usize>(fields: [(&str, Json); N]) -> Json {
        Json::Map(fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Map(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn parse(text: &str) -> Option<Json> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        reader.space();
        reader.rest.is_empty().then_some(value)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, word: &str) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match self.rest.as_bytes().first()? {
            b'{' => self
                .many("{", "}", |reader| {
                    let name = match reader.text()? {
                        Json::Text(name) => name,
                        _ => return None,
                    };
                    reader.take(":")?;
                    Some((name, reader.value()?))
                })
                .map(Json::Map),
            b'[' => self.many("[", "]", Reader::value).map(Json::List),
            b'"' => self.text(),
            b't' => self.take("true").map(|_| Json::Bool(true)),
            b'f' => self.take("false").map(|_| Json::Bool(false)),
            b'n' => self.take("null").map(|_| Json::Null),
            _ => {
                let end = self.rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(self.rest.len());
                let (number, rest) = self.rest.split_at(end);
                self.rest = rest;
                (end > 0).then(|| Json::Number(number.to_string()))
            }
        }
    }

    fn many<T>(&mut self, open: &str, close: &str, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(items);
        }
        loop {
            items.push(one(self)?);
            if self.take(close).is_some() {
                return Some(items);
            }
            self.take(",")?;
        }
    }

    fn text(&mut self) -> Option<Json> {
        self.take("\"")?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        loop {
            match characters.next()? {
                (at, '"') => {
                    self.rest = &self.rest[at + 1..];
                    return Some(Json::Text(text));
                }
                (_, '\\') => text.push(match characters.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(_, c)| c).collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?).unwrap_or('\u{fffd}')
                    }
                    other => other,
                }),
                (_, other) => text.push(other),
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(text) | Json::Raw(text) => f.write_str(text),
            Json::Text(text) => quote(f, text),
            Json::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Map(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    quote(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

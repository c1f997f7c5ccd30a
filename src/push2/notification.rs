//! The stanza for the push service: a message around a `<notification>`.

use std::rc::Rc;

use crate::element::Sink;
use crate::ns;
use crate::push2::jwt::Token;
use crate::rules::importance::Importance;

/// How urgent a push is, for the client's platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Nothing to show.
    Low,
    /// Something to read.
    Normal,
    /// A call, or its end for a device that rang: both have to reach the client in the same way.
    High,
}

impl Priority {
    pub fn new(importance: Importance) -> Priority {
        match importance {
            Importance::Urgent | Importance::CallEnds => Priority::High,
            Importance::Important => Priority::Normal,
            Importance::Low | Importance::None => Priority::Low,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
        }
    }
}

/// The part of a notification that is made for one stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub priority: Priority,
    /// The stanza in its envelope, encrypted, in base64.
    pub encrypted: Option<String>,
    pub token: Option<Rc<Token>>,
}

impl Payload {
    /// Makes the payload of a plain push.
    pub fn empty(priority: Priority) -> Payload {
        Payload { priority, encrypted: None, token: None }
    }

    /// Returns the bytes that it takes in memory.
    pub fn size(&self) -> usize {
        size_of::<Payload>() + self.encrypted.as_ref().map_or(0, String::len)
    }

    /// Writes the whole stanza. Each element has its namespace, as in a stanza from a stream.
    pub fn write<S: Sink>(&self, sink: &mut S, id: &str, from: &str, to: &str, client: &str) -> Result<(), S::Error> {
        sink.open("message", &[("id", id), ("from", from), ("to", to)])?;
        sink.open("notification", &[("xmlns", ns::PUSH2)])?;
        leaf(sink, "client", &[("xmlns", ns::PUSH2)], client)?;
        leaf(sink, "priority", &[("xmlns", ns::PUSH2)], self.priority.name())?;
        if self.priority == Priority::High {
            leaf(sink, "voip", &[("xmlns", ns::PUSH2)], "")?;
        }
        if let Some(encrypted) = &self.encrypted {
            sink.open("encrypted", &[("xmlns", ns::SCE_RFC8291)])?;
            leaf(sink, "payload", &[("xmlns", ns::SCE_RFC8291)], encrypted)?;
            sink.close()?;
        }
        if let Some(token) = &self.token {
            match &token.key {
                Some(key) => leaf(sink, "jwt", &[("xmlns", ns::PUSH2), ("key", key)], &token.jws)?,
                None => leaf(sink, "jwt", &[("xmlns", ns::PUSH2)], &token.jws)?,
            }
        }
        sink.close()?;
        sink.close()
    }
}

fn leaf<S: Sink>(sink: &mut S, name: &str, attrs: &[(&str, &str)], text: &str) -> Result<(), S::Error> {
    sink.open(name, attrs)?;
    if !text.is_empty() {
        sink.text(text)?;
    }
    sink.close()
}

//! The protocols by which devices are woken. The rules are one; what differs hangs on this.

/// What an engine speaks: each has a store of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// XEP-0357: an IQ publishes a summary, and each is answered.
    Push,
    /// Push 2.0: a message carries what the client has asked for. Only errors come back.
    Push2,
}

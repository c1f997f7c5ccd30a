//! Push 2.0 (`urn:xmpp:push2:0`, a draft): what a client asks for, what matches it, and what is sent.
//!
//! A [`registration`] has matches; [`matching`] says which of them a stanza fits and how it is to be sent; the
//! [`notification`] is what the push service gets. With the send profile `sce+rfc8291+rfc8292` it carries the stanza in an
//! [`envelope`], encrypted for the client as a [`webpush`], with a [`jwt`] for the push service.

pub mod base64;
pub mod envelope;
pub mod jwt;
pub mod matching;
pub mod notification;
pub mod registration;
pub mod webpush;

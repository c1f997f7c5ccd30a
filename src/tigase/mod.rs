//! The Tigase extensions of XEP-0357, for Siskin and Snikket iOS: a client's requests in `<enable>`, and their effect on its
//! pushes. Specified in Tigase's documentation, under "Push Notifications".

pub mod enable;
pub mod encrypt;
pub mod filter;

use encrypt::Encryption;
use filter::Filter;

/// The extensions that a host has; each is switched on by a module of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions {
    /// `mod_cloud_notify_encrypted`.
    pub encrypted: bool,
    /// Another author's module of this name, which encrypts the pushes that it sees.
    pub encrypted_elsewhere: bool,
    /// `mod_cloud_notify_filters`.
    pub filters: bool,
    /// `mod_cloud_notify_priority_tag`.
    pub priority: bool,
}

/// A client's settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub encryption: Option<Encryption>,
    pub filter: Filter,
}

//! Ids of the stanzas that we send.

use uuid::{Builder, Uuid};

const LENGTH: usize = 16;

/// A random UUID (RFC 9562, version 4), in lower case. Nobody can guess it and forge an app server's answer. A gateway may pass
/// it on to Apple's service as `apns-id`, which must be a UUID.
pub type Id = Uuid;

/// Reads an id in the hyphenated form of our ids.
pub fn parse(text: &str) -> Option<Id> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == uuid::fmt::Hyphenated::LENGTH)
}

/// Makes ids from random bytes, which it draws in bulk.
pub struct Ids {
    fill: fn(&mut [u8]),
    pool: [u8; 64 * LENGTH],
    used: usize,
}

impl Ids {
    /// `fill` fills a slice with random bytes.
    pub fn new(fill: fn(&mut [u8])) -> Self {
        Ids { fill, pool: [0; 64 * LENGTH], used: 64 * LENGTH }
    }

    /// Returns a new id.
    pub fn make(&mut self) -> Id {
        if self.used == self.pool.len() {
            (self.fill)(&mut self.pool);
            self.used = 0;
        }
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(&self.pool[self.used..][..LENGTH]);
        self.used += LENGTH;
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

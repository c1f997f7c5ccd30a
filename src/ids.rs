//! Ids of the stanzas that we send.

use serde::{Deserialize, Serialize};

const LENGTH: usize = 16;
/// Characters that stand for six random bits.
pub const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 96 random bits, printed as 16 characters: nobody guesses one and answers in another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Id([u8; LENGTH]);

impl Id {
    /// Reads an id of the length of ours.
    pub fn parse(text: &str) -> Option<Id> {
        text.as_bytes().try_into().ok().map(Id)
    }

    /// As it stands in a stanza.
    pub fn as_str(&self) -> &str {
        // Made of ASCII, or read from a `str`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Makes ids from random bytes, which it draws in bulk.
pub struct Ids {
    fill: fn(&mut [u8]),
    pool: [u8; 64 * LENGTH],
    used: usize,
}

impl Ids {
    /// `fill` gives random bytes.
    pub fn new(fill: fn(&mut [u8])) -> Self {
        Ids { fill, pool: [0; 64 * LENGTH], used: 64 * LENGTH }
    }

    /// One that nobody has seen.
    pub fn make(&mut self) -> Id {
        if self.used == self.pool.len() {
            (self.fill)(&mut self.pool);
            self.used = 0;
        }
        let mut id = [0; LENGTH];
        for (char, random) in id.iter_mut().zip(&self.pool[self.used..]) {
            *char = ALPHABET[usize::from(random % 64)];
        }
        self.used += LENGTH;
        Id(id)
    }
}

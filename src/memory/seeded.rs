//! Hashes with a seed: nobody who does not know it can choose something with the hash of something else. The same seed gives the
//! same hash after a reload.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns the hash of `what`; `seed` is random.
pub fn hash(seed: u64, what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    what.hash(&mut hasher);
    hasher.finish()
}

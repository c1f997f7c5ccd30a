//! The first use of cryptography happens inside an event, and must not stall the server. The library's own source of entropy
//! takes 40 ms to start. This file has one test, because a process starts only once.

use std::fs::read_to_string;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING as ES256, EcdsaKeyPair};
use prosody_push::crypto::{Signer, random};

const STALL: Duration = Duration::from_millis(5);

/// The CPU time of this thread so far: the time on the clock would include other work on the machine.
fn cpu() -> Duration {
    let stat = read_to_string("/proc/thread-self/schedstat").expect("Linux has this file");
    Duration::from_nanos(stat.split(' ').next().and_then(|spent| spent.parse().ok()).expect("nanoseconds come first"))
}

fn cost<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = cpu();
    let done = action();
    (done, cpu() - start)
}

#[test]
fn neither_ids_nor_keys_nor_signatures_wait_for_entropy() {
    let ((), ids) = cost(|| random(&mut [0; 1024]));
    assert!(ids < STALL, "ids took {ids:?}");
    let (der, key) = cost(|| EcdsaKeyPair::generate_pkcs8(&ES256, &SystemRandom::new()).expect("a key"));
    assert!(key < STALL, "a key took {key:?}");
    let signer = Signer::new("ES256", &[], Some(der.as_ref())).expect("a key that can sign");
    let (signature, signing) = cost(|| signer.sign(b"a token"));
    assert!(signature.is_some() && signing < STALL, "a signature took {signing:?}");
}

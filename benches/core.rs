//! Instructions of the core's five hottest paths, without Lua and Prosody: `make bench`, or alone
//! `cargo bench --no-default-features`. Callgrind counts them, so that they are the same on a busy machine.
//!
//! Each starts from a host that has handled such events before, and asserts what came of this one.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use gungraun::prelude::*;
use minidom::Element;
use prosody_push::config::Config;
use prosody_push::context::Event;
use prosody_push::engine::{self, Done, Queued, Verdict};
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{BODY, Message};
use prosody_push::time::Moment;
use prosody_push::xep0357::Xep0357;
use prosody_push::xep0357::asked::registration;

type Engine = engine::Engine<Xep0357>;
type Push = engine::Push<Xep0357>;
type Pushes = engine::Pushes<Xep0357>;

const NOW: Moment = Moment { wall: 1_800_000_000_000, mono: 1_000_000 };
const JID: &str = "push.example";
const MESSAGE: Message = Message {
    word: BODY,
    from: Some("juliet@example.org/balcony"),
    body: None,
    dedup_key: Some("jV9iKmzxwjyq5R0h"),
    call: None,
    extracts: None,
    stanza: None,
};

/// Ids that differ, made at the same cost in every run.
fn fill(bytes: &mut [u8]) {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    for chunk in bytes.chunks_exact_mut(8) {
        let mixed = COUNTER.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        chunk.copy_from_slice(&mixed.rotate_left(32).to_le_bytes());
    }
}

fn event(now: Moment) -> Event<'static> {
    Event { now, user: "romeo", observed: false }
}

/// A host of a thousand users, where romeo has so many devices.
fn host(devices: usize, coalesce: bool) -> Engine {
    let mut engine = Engine::new("example.org".into(), Config { coalesce, ..Config::default() }, fill);
    let form = Element::bare("x", "jabber:x:data");
    let device = |node: &str| registration(&format!("{JID}<{node}"), JID, Some(node), Some(&form), 1);
    for user in 0..1000 {
        engine.load(&format!("user{user}"), vec![device("phone")], false);
    }
    engine.load("romeo", (0..devices).map(|i| device(&i.to_string())).collect(), false);
    engine
}

/// The same after 1,000 messages, all of them pushed and answered.
fn busy(devices: usize) -> Engine {
    let mut engine = host(devices, false);
    for message in 0..1000 {
        let name = message.to_string();
        for push in offline(&mut engine, &Message { dedup_key: Some(&name), ..MESSAGE }).list {
            answer(&mut engine, &push);
        }
    }
    engine
}

fn busy_with_push() -> (Engine, Push) {
    let mut engine = busy(1);
    let push = offline(&mut engine, &MESSAGE).list.remove(0);
    (engine, push)
}

/// The same, where a push without content has left just now.
fn bursting() -> Engine {
    let mut engine = host(1, true);
    assert_eq!(offline(&mut engine, &MESSAGE).list.len(), 1);
    engine
}

fn offline(engine: &mut Engine, message: &Message) -> Pushes {
    engine.on_offline(event(NOW), message).expect("romeo is loaded")
}

fn answer(engine: &mut Engine, push: &Push) {
    assert_eq!(engine.on_answer(NOW, &push.id.to_string(), Some(JID), None).verdict, Verdict::Stays);
}

#[library_benchmark]
#[bench::one_device(args = (1), setup = busy)]
#[bench::five_devices(args = (5), setup = busy)]
fn offline_message(mut engine: Engine) -> (Engine, Pushes) {
    let pushes = offline(black_box(&mut engine), black_box(&MESSAGE));
    assert!(!pushes.list.is_empty());
    (engine, pushes)
}

#[library_benchmark]
#[bench::of_one_push(setup = busy_with_push)]
fn answered((mut engine, push): (Engine, Push)) -> Engine {
    answer(black_box(&mut engine), black_box(&push));
    engine
}

#[library_benchmark]
#[bench::live_session(args = (1), setup = busy)]
fn archived(mut engine: Engine) -> Engine {
    let held = Holders::new(Some("cpush.example<0"));
    let to = Some("romeo@example.org");
    let pushes = engine.on_addressed(black_box(event(NOW)), to, black_box(&MESSAGE), held, None);
    assert!(pushes.expect("romeo is loaded").list.is_empty());
    engine
}

#[library_benchmark]
#[bench::after_the_first(args = (1), setup = busy)]
fn queued(mut engine: Engine) -> Engine {
    let done = Done::default().with(true);
    let queued =
        engine.on_queued(black_box(event(NOW)), "push.example<0", done, black_box(&MESSAGE), Holders::default());
    assert!(matches!(queued, Ok(Queued { pushes, alerted: true, .. }) if pushes.list.is_empty()));
    engine
}

#[library_benchmark]
#[bench::held_back(setup = bursting)]
fn burst(mut engine: Engine) -> Engine {
    let message = Message { dedup_key: Some("another"), ..MESSAGE };
    assert!(offline(black_box(&mut engine), black_box(&message)).held);
    engine
}

library_benchmark_group!(name = core, benchmarks = [offline_message, answered, archived, queued, burst]);
main!(library_benchmark_groups = core);

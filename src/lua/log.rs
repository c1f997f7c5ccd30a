//! From `tracing` to Prosody's log.
//!
//! Lines of one call are gathered and handed over when it is done, so that Rust never calls Lua in the middle of a rule. As in
//! Prosody, the level is the same for all hosts of a process.

use std::cell::RefCell;
use std::fmt;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use mlua::prelude::*;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Level, Metadata, callsite};

static INSTALL: Once = Once::new();
static DEBUG: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Starts to gather lines.
pub fn install() {
    INSTALL.call_once(|| {
        // Fails only if this library has a subscriber already, and only this line sets one.
        let _ = tracing::subscriber::set_global_default(Lines);
    });
}

/// Sets whether lines of level debug are gathered, too.
pub fn set_debug(on: bool) {
    if DEBUG.swap(on, Ordering::Relaxed) != on {
        callsite::rebuild_interest_cache();
    }
}

/// Hands the lines to `log(level, "%s", line)`.
pub fn drain(log: &LuaFunction) -> LuaResult<()> {
    for (level, line) in LINES.take() {
        let level = match level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "debug",
        };
        log.call::<()>((level, "%s", line))?;
    }
    Ok(())
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = if DEBUG.load(Ordering::Relaxed) { Level::DEBUG } else { Level::INFO };
        *metadata.level() <= wanted
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if DEBUG.load(Ordering::Relaxed) { LevelFilter::DEBUG } else { LevelFilter::INFO })
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push((*event.metadata().level(), line.0)));
    }

    // Only events are logged, no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The text of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

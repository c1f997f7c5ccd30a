//! The options of the modules, read once when they load.

use std::fmt;

use serde::Serialize;

use crate::time::{Millis, SECOND};
use crate::xml;

/// The value of an option in Prosody's configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Bool(bool),
    Number(f64),
    Text(String),
    /// Anything else, by the name of its Lua type.
    Other(&'static str),
}

/// The options, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `push_notification_with_body`: the text of the message goes to the app server.
    pub with_body: bool,
    /// `push_notification_with_sender`: the sender's JID goes to the app server.
    pub with_sender: bool,
    /// `push_notification_important_body`: is sent in place of the body of an important message; `None` if the option is empty.
    pub important_body: Option<String>,
    /// `push_notification_encrypted_body`: replaces the text of an end-to-end encrypted message in an encrypted push.
    pub encrypted_body: String,
    /// `push_max_devices`: registrations that a user may have.
    pub max_devices: usize,
    /// `push_cached_users`: users whose registrations are held in memory. The least recently used one is dropped first, and is
    /// read again when the next message comes.
    pub cached_users: usize,
    /// `push_explain`: decisions that are kept for each user; 0 for none.
    pub explain: usize,
    /// `push_max_errors`: refusals in a row after which a registration is removed.
    pub max_errors: u32,
    /// `push_max_hibernation_timeout`: the longest hibernation of a session with a registration, in seconds.
    pub max_hibernation: f64,
    /// `push_wake_before_timeout`: seconds before the end of a hibernation at which its device is woken; 0 for never.
    pub wake_before: f64,
    /// `push_wake_on_start`: all devices are woken after the server has started, because their clients do not know that their
    /// sessions and rooms are gone.
    pub wake_on_start: bool,
    /// `push_owed_per_second`: owed pushes that leave per second when their app server is back.
    pub owed_per_second: u32,
    /// `smacks_max_queue_size` of mod_smacks: stanzas that a session keeps, and hands back when it ends.
    pub queue_size: usize,
    /// `hibernate_past_first_push`, of Push 2.0: whether a session may go on hibernating for that long after an important push
    /// to its device.
    pub hibernate_past_push: bool,
    /// `contact_uri`, of Push 2.0: the address at which a push service reaches the administrator of this server (RFC 8292
    /// §2.1).
    pub contact_uri: Option<String>,
    /// `push_coalesce`: in a burst, one plain push stands for many.
    pub coalesce: bool,
    /// `push_rooms`: which messages of a room wake a device if the user has no setting for the room.
    pub rooms: Rooms,
    /// `push_take_away`: a device is woken silently when the user has read elsewhere the messages that it shows.
    pub take_away: bool,
    /// `push_patience`: how long an important push waits while the user is at another client; 0 for not at all.
    pub patience: Millis,
}

/// Which messages of a room wake a device if the user has no setting for the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rooms {
    All,
    /// All messages, but only mentions of the user and replies to the user in two kinds of rooms: public rooms, as far as this
    /// server knows, and rooms that the user has not bookmarked.
    Mentions,
}

/// Ten years, in seconds: "never" as the delay of a timer.
const NEVER: f64 = 315_360_000.0;

impl Default for Config {
    fn default() -> Self {
        Config {
            with_body: false,
            with_sender: false,
            important_body: Some("New Message!".into()),
            encrypted_body: "Encrypted message".into(),
            max_devices: 5,
            cached_users: 10_000,
            explain: 20,
            max_errors: 16,
            max_hibernation: 72.0 * 3600.0,
            wake_before: 0.0,
            wake_on_start: false,
            owed_per_second: 50,
            queue_size: 500,
            hibernate_past_push: true,
            contact_uri: None,
            coalesce: true,
            rooms: Rooms::All,
            take_away: false,
            patience: 0,
        }
    }
}

impl Config {
    /// Reads every option through `get`. An option with an unusable value keeps its default; the second part of the result has
    /// a sentence about each.
    pub fn read(get: impl FnMut(&str) -> Value) -> (Config, Vec<String>) {
        let mut reader = Reader { get, warnings: Vec::new() };
        let default = Config::default();
        let config = Config {
            with_body: reader.boolean("push_notification_with_body", default.with_body),
            with_sender: reader.boolean("push_notification_with_sender", default.with_sender),
            important_body: reader.text("push_notification_important_body", default.important_body),
            encrypted_body: reader
                .text("push_notification_encrypted_body", Some(default.encrypted_body))
                .unwrap_or_default(),
            max_devices: reader.count("push_max_devices", default.max_devices as u32) as usize,
            cached_users: reader.count("push_cached_users", default.cached_users as u32) as usize,
            explain: reader.count_or_off("push_explain", default.explain as u32) as usize,
            max_errors: reader.count("push_max_errors", default.max_errors),
            max_hibernation: reader.period("push_max_hibernation_timeout", default.max_hibernation),
            wake_before: reader.period_or_off("push_wake_before_timeout"),
            wake_on_start: reader.boolean("push_wake_on_start", default.wake_on_start),
            owed_per_second: reader.count("push_owed_per_second", default.owed_per_second),
            queue_size: reader.count("smacks_max_queue_size", default.queue_size as u32) as usize,
            hibernate_past_push: reader.boolean("hibernate_past_first_push", default.hibernate_past_push),
            contact_uri: reader.text("contact_uri", default.contact_uri),
            coalesce: reader.boolean("push_coalesce", default.coalesce),
            rooms: reader.rooms("push_rooms", default.rooms),
            take_away: reader.boolean("push_take_away", default.take_away),
            patience: (reader.period_or_off("push_patience") * SECOND as f64) as Millis,
        };
        (config, reader.warnings)
    }
}

struct Reader<G> {
    get: G,
    warnings: Vec<String>,
}

impl<G: FnMut(&str) -> Value> Reader<G> {
    /// Reads a boolean as Prosody does: `true`, `"true"` and `1` are the same.
    fn boolean(&mut self, name: &str, default: bool) -> bool {
        match (self.get)(name) {
            Value::Nil => default,
            Value::Bool(value) => value,
            Value::Number(1.0) => true,
            Value::Number(0.0) => false,
            Value::Text(text) if text == "true" => true,
            Value::Text(text) if text == "false" => false,
            value => self.unusable(name, &value, "true or false", default),
        }
    }

    /// Reads a whole number from 1 up. Like Prosody, it also takes a number in quotes.
    fn count(&mut self, name: &str, default: u32) -> u32 {
        let value = (self.get)(name);
        let number = match &value {
            Value::Nil => return default,
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(n) if n.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&n) => n as u32,
            _ => self.unusable(name, &value, "a whole number from 1 up", default),
        }
    }

    /// Reads a whole number; `false` or 0 means none.
    fn count_or_off(&mut self, name: &str, default: u32) -> u32 {
        match (self.get)(name) {
            Value::Bool(false) | Value::Number(0.0) => 0,
            Value::Bool(true) => default,
            _ => self.count(name, default),
        }
    }

    /// Reads a period; an absent option, `false` or 0 means none.
    fn period_or_off(&mut self, name: &str) -> f64 {
        match (self.get)(name) {
            Value::Nil | Value::Bool(false) | Value::Number(0.0) => 0.0,
            _ => self.period(name, 0.0),
        }
    }

    /// Reads seconds, or a period in words as Prosody 13.0 does: `"3 days"`, `"never"`.
    fn period(&mut self, name: &str, default: f64) -> f64 {
        let value = (self.get)(name);
        let seconds = match &value {
            Value::Nil => return default,
            Value::Bool(false) => Some(NEVER),
            Value::Number(number) => Some(*number),
            Value::Text(text) => seconds(text),
            _ => None,
        };
        match seconds {
            Some(seconds) if seconds >= 1.0 => seconds.min(NEVER),
            _ => self.unusable(name, &value, "a period of a second or more, like \"3 days\"", default),
        }
    }

    fn rooms(&mut self, name: &str, default: Rooms) -> Rooms {
        match (self.get)(name) {
            Value::Nil => default,
            Value::Text(text) if text == "all" => Rooms::All,
            Value::Text(text) if text == "mentions" => Rooms::Mentions,
            value => self.unusable(name, &value, "\"all\" or \"mentions\"", default),
        }
    }

    /// Reads text that XML can hold; the empty text means none.
    fn text(&mut self, name: &str, default: Option<String>) -> Option<String> {
        match (self.get)(name) {
            Value::Nil => default,
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) if text.chars().all(xml::is_char) => Some(text),
            value => self.unusable(name, &value, "text without control characters", default),
        }
    }

    fn unusable<T: Serialize>(&mut self, name: &str, value: &Value, wanted: &str, default: T) -> T {
        // JSON writes booleans, numbers and texts as the configuration file does.
        let instead = serde_json::to_string(&default).unwrap_or_default();
        self.warnings.push(format!("Option {name} is {value}, not {wanted}: using {instead} instead"));
        default
    }
}

fn seconds(period: &str) -> Option<f64> {
    let period = period.trim().to_lowercase();
    if period == "never" {
        return Some(NEVER);
    }
    let (number, unit) = period.split_at(period.find(|c: char| !c.is_ascii_digit()).unwrap_or(period.len()));
    let unit = match unit.trim().strip_suffix('s').unwrap_or(unit.trim()) {
        "" | "sec" | "second" => 1,
        "min" | "minute" => 60,
        "h" | "hour" => 3600,
        "d" | "day" => 24 * 3600,
        "w" | "week" => 7 * 24 * 3600,
        "mon" | "month" => 31 * 24 * 3600,
        "y" | "year" => 365 * 24 * 3600,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * f64::from(unit))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("not set"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::Other(kind) => write!(f, "a {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: Value) -> (Config, Vec<String>) {
        Config::read(|asked| if asked == name { value.clone() } else { Value::Nil })
    }

    #[test]
    fn options_have_the_reference_s_defaults() {
        assert_eq!(Config::read(|_| Value::Nil), (Config::default(), vec![]));
    }

    #[test]
    fn values_are_read_as_prosody_reads_them() {
        for yes in [Value::Bool(true), Value::Text("true".into()), Value::Number(1.0)] {
            let (config, warnings) = read("push_notification_with_body", yes);
            assert!(config.with_body && warnings.is_empty());
        }
        let (config, warnings) = read("push_max_devices", Value::Text("3".into()));
        assert_eq!((config.max_devices, warnings.len()), (3, 0));
        let (config, warnings) = read("push_notification_important_body", Value::Text(String::new()));
        assert_eq!((config.important_body, warnings.len()), (None, 0));
    }

    #[test]
    fn periods_are_seconds_or_words() {
        let cases = [
            (Value::Number(90.5), 90.5),
            (Value::Text("90".into()), 90.0),
            (Value::Text("2 minutes".into()), 120.0),
            (Value::Text("1 hour".into()), 3600.0),
            (Value::Text("3 days".into()), 3.0 * 86400.0),
            (Value::Text("1w".into()), 7.0 * 86400.0),
            (Value::Text("never".into()), NEVER),
            (Value::Number(f64::INFINITY), NEVER),
            (Value::Bool(false), NEVER),
        ];
        for (value, seconds) in cases {
            let (config, warnings) = read("push_max_hibernation_timeout", value.clone());
            assert_eq!((config.max_hibernation, warnings), (seconds, vec![]), "{value}");
        }
    }

    #[test]
    fn an_invalid_value_is_named_with_the_value_used_instead() {
        let cases = [
            ("push_max_devices", Value::Text("many".into()), "is \"many\", not a whole number from 1 up: using 5"),
            ("push_max_devices", Value::Number(0.0), "is 0, not a whole number from 1 up: using 5"),
            ("push_max_errors", Value::Number(1.5), "is 1.5, not a whole number from 1 up: using 16"),
            ("push_max_errors", Value::Number(f64::NAN), "is NaN, not a whole number from 1 up: using 16"),
            ("push_max_errors", Value::Other("table"), "is a table, not a whole number from 1 up: using 16"),
            ("push_notification_with_sender", Value::Text("yes".into()), "is \"yes\", not true or false: using false"),
            ("push_max_hibernation_timeout", Value::Text("soon".into()), "is \"soon\", not a period"),
            ("push_wake_before_timeout", Value::Text("later".into()), "is \"later\", not a period of a second or more"),
            ("push_max_hibernation_timeout", Value::Number(0.0), "is 0, not a period of a second or more"),
            (
                "push_rooms",
                Value::Text("none".into()),
                "is \"none\", not \"all\" or \"mentions\": using \"all\" instead",
            ),
            ("push_patience", Value::Text("long".into()), "is \"long\", not a period of a second or more"),
            ("push_notification_important_body", Value::Bool(true), "is true, not text"),
            ("push_notification_important_body", Value::Text("\u{1}".into()), "using \"New Message!\" instead"),
        ];
        for (name, value, sentence) in cases {
            let (config, warnings) = read(name, value);
            assert_eq!(config, Config::default(), "{name}");
            assert_eq!(warnings.len(), 1, "{name}");
            assert!(warnings[0].contains(name) && warnings[0].contains(sentence), "{}", warnings[0]);
        }
    }
}

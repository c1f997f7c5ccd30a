//! The user's setting for a chat, made in any client (XEP-0492), and the option `push_rooms` for rooms without a setting.

use crate::config::Rooms;
use crate::reason::Reason;
use crate::rules::facts::{
    ALWAYS, ALWAYS_0, GROUPCHAT, Message, NEVER, NEVER_0, ON_MENTION, ON_MENTION_0, PUBLIC_ROOM,
};
use crate::rules::mention::User;

/// The setting for a chat in the user's bookmarks (XEP-0402).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The bookmarks could not be read, or are not read yet.
    NotKnown,
    NotBookmarked,
    /// Bookmarked, with no setting.
    Unset,
    Never,
    OnMention,
    Always,
}

/// The identity (XEP-0030) that a setting is for, from the least exact to the most exact: any identity, any client, a phone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meant {
    All,
    Clients,
    Phones,
}

impl Setting {
    /// Reads the setting in a bookmark, whose facts are those of [`walk::ITEM`](crate::rules::walk::ITEM). If two different
    /// settings are equally exact, which the specification forbids, the louder one counts.
    pub fn of_bookmark(bookmark: &Message) -> Setting {
        let newest = [(NEVER, Setting::Never), (ON_MENTION, Setting::OnMention), (ALWAYS, Setting::Always)];
        let oldest = [(NEVER_0, Setting::Never), (ON_MENTION_0, Setting::OnMention), (ALWAYS_0, Setting::Always)];
        let newest = newest.map(|(kind, setting)| (most_exact(bookmark, kind, meant), setting));
        let oldest = oldest.map(|(kind, setting)| (most_exact(bookmark, kind, meant_0), setting));
        let of = |settings: [(Option<Meant>, Setting); 3]| {
            let (meant, setting) = settings.into_iter().max_by_key(|(meant, _)| *meant)?;
            meant.map(|_| setting)
        };
        of(newest).or(of(oldest)).unwrap_or(Setting::Unset)
    }
}

fn most_exact(bookmark: &Message, kind: char, meant: fn(&str) -> Option<Meant>) -> Option<Meant> {
    bookmark.each(kind).filter_map(meant).max()
}

/// Reads the category and the type of an identity.
fn meant(identity: &str) -> Option<Meant> {
    match identity {
        "client phone" => Some(Meant::Phones),
        "client " => Some(Meant::Clients),
        " " => Some(Meant::All),
        _ => None,
    }
}

/// Reads the type of a client, as the specification had it before 0.2. Its example says `mobile`, which the registry does not
/// have.
fn meant_0(client: &str) -> Option<Meant> {
    match client {
        "phone" | "mobile" => Some(Meant::Phones),
        "" => Some(Meant::All),
        _ => None,
    }
}

/// Returns why a setting of the user or the administrator keeps a message from the user's devices. For a call, only
/// [`Setting::Never`] counts. `text` returns the text in lower case.
pub fn objection<'t>(
    setting: Setting,
    rooms: Rooms,
    message: &Message,
    is_call: bool,
    user: User,
    text: impl FnOnce() -> &'t str,
) -> Option<Reason> {
    let has = |bit| message.word & bit != 0;
    let is_quiet_room = rooms == Rooms::Mentions && has(GROUPCHAT);
    let unless_mentioned = match setting {
        Setting::Never => return Some(Reason::ChatNever),
        Setting::Always => return None,
        Setting::OnMention => Reason::ChatOnMention,
        Setting::NotBookmarked if is_quiet_room => Reason::RoomOnMention,
        Setting::Unset | Setting::NotKnown if is_quiet_room && has(PUBLIC_ROOM) => Reason::RoomOnMention,
        Setting::NotBookmarked | Setting::Unset | Setting::NotKnown => return None,
    };
    (!is_call && !user.is_mentioned(message, text())).then_some(unless_mentioned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(entries: &[&str]) -> Setting {
        Setting::of_bookmark(&Message { extracts: Some(&entries.join("\0")), ..Message::default() })
    }

    #[test]
    fn the_most_exact_setting_counts() {
        let cases: [(&[&str], Setting); 11] = [
            (&[], Setting::Unset),
            (&["N "], Setting::Never),
            (&["Nclient pc", "Mclient phone", "Mgateway ", "A "], Setting::OnMention),
            (&["Nclient ", "A "], Setting::Never),
            (&["Nclient pc", "Mgateway ", "A "], Setting::Always),
            (&["Nclient pc"], Setting::Unset),
            (&["N phone", "Nphone "], Setting::Unset),
            (&["N ", "M ", "A "], Setting::Always),
            (&["N ", "M "], Setting::OnMention),
            (&["Xpc", "Ymobile"], Setting::OnMention),
            (&["X", "A "], Setting::Always),
        ];
        for (entries, expected) in cases {
            assert_eq!(setting(entries), expected, "{entries:?}");
        }
    }
}

//! The user's bookmarks, and the settings for chats.

use std::hash::BuildHasher;

use super::Engine;
use crate::address::bare;
use crate::context::Context;
use crate::memory::bookmarks::Bookmarks;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::rules::facts::Message;
use crate::rules::importance::Importance;
use crate::rules::mention::User;
use crate::rules::settings::{Setting, objection};
use crate::time::Moment;

impl<P: Protocol> Engine<P> {
    /// Whether the bookmarks of a user who is in memory have to be read. Without a device they are not needed.
    pub fn wants_bookmarks(&self, user: &str) -> bool {
        self.users.peek(user).is_some_and(|user| user.devices.iter().len() > 0 && !user.bookmarks.are_known())
    }

    /// Takes all bookmarks of a user, by JID; `None` if they cannot be read.
    pub fn load_bookmarks<'b>(
        &mut self,
        now: Moment,
        user: &str,
        bookmarks: Option<impl Iterator<Item = (&'b str, Setting)>>,
    ) {
        let Some(known) = self.users.peek_mut(user) else { return };
        known.bookmarks = match bookmarks {
            Some(all) => Bookmarks::new(all.map(|(jid, setting)| (self.hasher.hash_one(jid), setting))),
            None => Bookmarks::Unreadable(now.mono),
        };
    }

    /// Notes that the user has published a bookmark, or has retracted it if `setting` is `None`. The node keeps `most`
    /// bookmarks.
    pub fn on_bookmark(&mut self, user: &str, jid: &str, setting: Option<Setting>, most: usize) {
        let jid = self.hasher.hash_one(jid);
        let Some(known) = self.users.peek_mut(user) else { return };
        match setting {
            Some(setting) => known.bookmarks.put(jid, setting, most),
            None => known.bookmarks.remove(jid),
        }
    }

    /// Notes that the bookmarks of a user have changed in an unknown way.
    pub fn bookmarks_changed(&mut self, user: &str) {
        if let Some(known) = self.users.peek_mut(user) {
            known.bookmarks.changed();
        }
    }

    /// Notes that bookmarks can be read from now on. Those that are not known are asked for at the user's next event.
    pub fn bookmarks_can_be_read(&mut self) {
        for (_, user) in self.users.iter_mut().filter(|(_, user)| !user.bookmarks.are_known()) {
            user.bookmarks.changed();
        }
    }

    /// Returns why a setting of the user or the administrator keeps a message from the user's devices. The end of a call goes
    /// to all devices that rang.
    pub(super) fn quiet(&self, context: &Context, message: &Message) -> Option<Reason> {
        let importance = context.worth.ok().filter(|importance| *importance != Importance::CallEnds)?;
        let (user, host) = (context.event.user, &*self.server.host);
        let from = message.from?;
        let setting = self.users.peek(user)?.bookmarks.setting(|| self.hasher.hash_one(bare(from)));
        let is_call = importance == Importance::Urgent;
        objection(setting, self.server.config.rooms, message, is_call, User { user, host, nick: None }, || {
            context.text()
        })
    }
}

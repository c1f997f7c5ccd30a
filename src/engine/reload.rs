//! What an engine keeps over a reload of its module, beside what is [`durable`](super::durable).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::rc::Rc;

use super::Engine;
use super::types::{SavedWait, State};
use crate::delivery::owed::Debt;
use crate::delivery::waiting::Wait;
use crate::protocol::Protocol;
use crate::time::Millis;

impl<P: Protocol> Engine<P> {
    /// Returns the state that survives a reload. The engine cannot be used afterwards.
    pub fn save(&mut self) -> State {
        let devices = self.users.iter().flat_map(|(name, user)| user.devices.iter().map(move |device| (name, device)));
        let tells =
            |debt: &Debt<P>| (debt.user.clone(), debt.registration.identifier.clone(), debt.kind, debt.tells.clone());
        let saved = |wait: &Wait<P>| SavedWait {
            user: wait.user.clone(),
            identifier: wait.registration.identifier.clone(),
            until: wait.until,
            messages: wait.messages.clone(),
            tells: wait.tells.clone(),
        };
        let successes =
            devices.map(|(user, device)| (user.clone(), device.identifier.clone(), device.last_success.get()));
        let successes = successes.filter(|(_, _, at)| *at > 0).collect();
        let most = self.users.cap().get();
        let loaded = std::iter::from_fn(|| self.users.pop_lru()).map(|(user, known)| (user, known.chats));
        let chats = loaded.chain(self.chats.drain()).filter(|(_, chats)| !chats.is_empty());
        State {
            delivery: self.delivery.save(),
            pushed: self.pushed.save(),
            calls: self.calls.save(),
            unread: self.unread.clone(),
            chats: chats.take(most).collect(),
            owed: self.owed.iter().map(tells).collect(),
            waits: self.waiting.iter().map(saved).collect(),
            successes,
        }
    }

    /// Restores the state that [`save`](Engine::save) returned, before any event. Returns the users to load, the users of the newest
    /// pushes first: if a push in flight fails, it can be sent again only when its registration is in memory.
    pub fn restore(&mut self, state: State) -> Vec<Rc<str>> {
        self.successes = state.successes.into_iter().map(|(user, device, at)| ((user, device), at)).collect();
        self.delivery.restore(state.delivery);
        self.pushed.restore(state.pushed);
        self.calls.restore(state.calls);
        self.unread = state.unread;
        for (user, chats) in state.chats {
            match self.users.peek_mut(&user) {
                Some(known) => known.chats = chats,
                None => {
                    self.chats.insert(user, chats);
                }
            }
        }
        for (user, identifier, kind, tells) in state.owed {
            self.owed.tells(&user, &identifier, kind, tells);
        }
        // The pushes that wait have come from the store without their messages, so the saved ones replace them.
        for SavedWait { user, identifier, .. } in &state.waits {
            self.waiting.drop_for(user, identifier);
        }
        for SavedWait { user, identifier, until, messages, tells } in state.waits {
            if let Some(registration) = self.device(&user, &identifier).cloned() {
                self.waiting.put(Wait { user, registration, until, messages, tells, content: None });
            }
        }
        // A push in flight is not owed as well.
        for push in self.delivery.in_flight() {
            self.owed.told(&push.user, &push.registration.identifier, push.kind, Millis::MAX);
        }
        let mut to_load: Vec<_> =
            self.delivery.in_flight().filter(|push| self.users.peek(&push.user).is_none()).collect();
        to_load.sort_by_key(|push| Reverse(push.sent.mono));
        let mut seen = HashSet::new();
        to_load.into_iter().map(|push| push.user.clone()).filter(|user| seen.insert(user.clone())).collect()
    }
}

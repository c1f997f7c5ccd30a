//! Whatever the user sets, reads and does at his other clients: what is owed to his phone by the rules gets there in time, and nothing
//! else does.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use prosody_push::config::{Config, Rooms};
use prosody_push::engine::durable::Records;
use prosody_push::engine::{Engine, Leaving, Push};
use prosody_push::protocol::Protocol;
use prosody_push::push2::{self, Push2};
use prosody_push::registration::Registration;
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{self, BODY, Call, GROUPCHAT, Message, PUBLIC_ROOM, RECEIPT};
use prosody_push::rules::read::{Name, Read};
use prosody_push::rules::settings::Setting;
use prosody_push::stanza_error::StanzaError;
use prosody_push::time::{Millis, Moment};
use prosody_push::xep0357::Xep0357;
use support::{HOST, SECOND, not_random, registration as xep0357_registration};

const IDENTIFIER: &str = "push.example<phone";
/// How long a burst may keep a push back.
const BURST: Millis = 10 * SECOND;
/// How long an app server takes at most.
const SLOWEST: Millis = 9 * SECOND;

/// What a chat is: a contact, a private room of this server, a public one, and a room of another server.
const CHATS: [(&str, facts::Word); 4] = [
    ("juliet@example.org", 0),
    ("private@rooms.example.org", GROUPCHAT),
    ("public@rooms.example.org", GROUPCHAT | PUBLIC_ROOM),
    ("room@elsewhere.example", GROUPCHAT),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Mention,
    Silent,
    Call,
}

#[derive(Clone, Debug)]
enum Step {
    /// A client sets a chat, or removes its bookmark.
    Set(usize, Option<Setting>),
    /// The node is deleted, or is readable again.
    Clear,
    Unreadable,
    Message(usize, Kind),
    /// A message comes again, by another way.
    Again(prop::sample::Index),
    /// The user reads a chat at his desk, up to a message.
    Read(prop::sample::Index, bool),
    /// The user does something at his desk.
    Act,
    /// A push in flight is answered.
    Answer(prop::sample::Index, bool),
    /// The phone's client is back, and sleeps again.
    Back,
    Restart,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    use Setting::{Always, Never, OnMention, Unset};
    let chat = 0..CHATS.len();
    let setting = prop_oneof![Just(Never), Just(OnMention), Just(Always), Just(Unset)];
    let kind =
        prop_oneof![4 => Just(Kind::Text), 1 => Just(Kind::Mention), 1 => Just(Kind::Silent), 1 => Just(Kind::Call)];
    prop_oneof![
        2 => (chat.clone(), prop::option::weighted(0.8, setting)).prop_map(|(chat, setting)| Step::Set(chat, setting)),
        1 => prop_oneof![Just(Step::Clear), Just(Step::Unreadable)],
        6 => (chat, kind).prop_map(|(chat, kind)| Step::Message(chat, kind)),
        1 => any::<prop::sample::Index>().prop_map(Step::Again),
        3 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, by_marker)| Step::Read(which, by_marker)),
        2 => Just(Step::Act),
        3 => (any::<prop::sample::Index>(), prop::bool::weighted(0.8)).prop_map(|(which, ok)| Step::Answer(which, ok)),
        1 => Just(Step::Back),
        1 => Just(Step::Restart),
        4 => prop_oneof![0..3u64, 0..90u64].prop_map(Step::Wait),
    ]
}

/// A protocol, by a device that asks for what is important.
trait Phone: Protocol {
    fn phone() -> Registration<Self::Asked>;
}

impl Phone for Xep0357 {
    fn phone() -> Registration<Self::Asked> {
        xep0357_registration("push.example", "phone", 1)
    }
}

impl Phone for Push2 {
    fn phone() -> Registration<Self::Asked> {
        use push2::asked::{Asked, Match, Profile, Send};
        let rule = Match { profile: Profile::Important, grace: None, chats: Box::new([]), send: Send::NotifyOnly };
        Registration::new(IDENTIFIER, "push.example", Asked { client: "c".into(), matches: [rule].into() }, 1)
    }
}

/// What came for the phone that it has to hear of.
#[derive(Debug)]
struct Owed {
    chat: usize,
    place: usize,
    came: Millis,
    /// Whether the user was at his desk.
    waits: bool,
    is_read: bool,
    /// Whether a push has left since, or the client was there.
    is_told: bool,
    /// Whether a push has left that stands for it.
    has_push: bool,
}

struct World<P: Phone> {
    config: Config,
    engine: Engine<P>,
    now: Moment,
    /// The user's bookmarks in the store; whether it can be read, and the engine must know of that.
    bookmarks: [Option<Setting>; CHATS.len()],
    is_readable: bool,
    stored: Option<Records>,
    messages: Vec<(usize, Kind)>,
    owed: Vec<Owed>,
    acted: Option<u64>,
    in_flight: Vec<(Millis, Push<P>, bool)>,
    /// Since a restart, or a failure, nobody knows by when a push leaves, or what it tells of.
    is_late: bool,
    is_forgetful: bool,
}

impl<P: Phone> World<P> {
    fn new(config: Config) -> Self {
        let mut engine = Engine::new(HOST.into(), config.clone(), not_random);
        engine.load("romeo", vec![P::phone()], false);
        let mut world = World {
            config,
            engine,
            now: Moment { wall: 1_800_000_000_000, mono: 50_000 },
            bookmarks: [None; CHATS.len()],
            is_readable: true,
            stored: None,
            messages: Vec::new(),
            owed: Vec::new(),
            acted: None,
            in_flight: Vec::new(),
            is_late: false,
            is_forgetful: false,
        };
        world.read_bookmarks();
        world
    }

    /// As the shim does it when the engine asks.
    fn read_bookmarks(&mut self) {
        let all = CHATS.iter().zip(self.bookmarks).filter_map(|((jid, _), setting)| Some((*jid, setting?)));
        self.engine.load_bookmarks(self.now, "romeo", self.is_readable.then_some(all));
    }

    fn live(&mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            self.step(step)?;
            self.write();
        }
        // All comes to an end: what failed is sent again every ten minutes at least.
        self.wait(700 * SECOND)?;
        for owed in &self.owed {
            prop_assert!(owed.is_told || owed.is_read, "{owed:?} was lost");
        }
        Ok(())
    }

    fn write(&mut self) {
        if let Some((_, records)) = self.engine.unwritten(usize::MAX).pop() {
            self.stored = Some(records);
        }
    }

    /// The rules in short. `None`: nothing that the phone shows.
    fn is_owed(&self, chat: usize, kind: Kind) -> bool {
        let setting = if self.is_readable { self.bookmarks[chat] } else { Some(Setting::Unset) };
        let (_, word) = CHATS[chat];
        let is_quiet_room = self.config.rooms == Rooms::Mentions
            && word & GROUPCHAT != 0
            && (word & PUBLIC_ROOM != 0 || setting.is_none());
        match (setting, kind) {
            (Some(Setting::Never), _) | (_, Kind::Silent) => false,
            (Some(Setting::Always), _) | (_, Kind::Mention | Kind::Call) => true,
            (Some(Setting::OnMention), Kind::Text) => false,
            (_, Kind::Text) => !is_quiet_room,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Set(chat, setting) => {
                self.bookmarks[chat] = setting;
                self.engine.on_bookmark("romeo", CHATS[chat].0, setting, 256);
            }
            Step::Clear => {
                self.is_readable = true;
                self.bookmarks = [None; CHATS.len()];
                self.engine.bookmarks_changed("romeo");
            }
            Step::Unreadable => {
                self.is_readable = false;
                self.engine.bookmarks_changed("romeo");
            }
            Step::Message(chat, kind) => {
                self.messages.push((chat, kind));
                self.message(self.messages.len() - 1)?;
            }
            Step::Again(which) => {
                if !self.messages.is_empty() {
                    let place = which.index(self.messages.len());
                    // Whether it is heard of again depends on the settings of now; a call is another matter.
                    if self.messages[place].1 == Kind::Text && self.owed.iter().any(|owed| owed.place == place) {
                        self.message(place)?;
                    }
                }
            }
            Step::Read(which, by_marker) => {
                if !self.messages.is_empty() {
                    self.reads(which.index(self.messages.len()), by_marker);
                }
            }
            Step::Act => self.acted = Some(self.now.wall / SECOND),
            Step::Answer(which, ok) => {
                if !self.in_flight.is_empty() {
                    let place = which.index(self.in_flight.len());
                    self.answer(place, ok);
                }
            }
            Step::Back => {
                self.engine.on_resumed(self.now, "romeo", IDENTIFIER);
                self.owed.iter_mut().for_each(|owed| (owed.is_told, owed.has_push) = (true, true));
            }
            Step::Restart => self.restart()?,
            Step::Wait(seconds) => self.wait(seconds * SECOND)?,
        }
        self.release()
    }

    fn message(&mut self, place: usize) -> Result<(), TestCaseError> {
        let (chat, kind) = self.messages[place];
        let (jid, of_chat) = CHATS[chat];
        let (key, from) = (key(place), format!("{jid}/x"));
        let active = self.acted.map_or(String::new(), |at| format!("\0a{at} "));
        let extracts = format!("em{place}{active}");
        let word = match kind {
            Kind::Text | Kind::Mention => BODY,
            Kind::Silent => RECEIPT,
            Kind::Call => facts::CALL,
        };
        let call_id = place.to_string();
        let message = Message {
            word: word | of_chat,
            from: Some(&from),
            body: Some(if kind == Kind::Mention { "romeo?" } else { "hello" }),
            dedup_key: Some(&key),
            call: (kind == Kind::Call).then_some(Call { peer: Some(jid), id: &call_id }),
            extracts: Some(&extracts),
            stanza: None,
        };
        let event = prosody_push::context::Event { now: self.now, user: "romeo", observed: false };
        let pushes = match self.engine.on_offline(event, &message) {
            Ok(pushes) => pushes,
            Err(_) => {
                self.read_bookmarks();
                self.engine.on_offline(event, &message).expect("all is loaded")
            }
        };
        let is_owed = self.is_owed(chat, kind);
        let known = self.owed.iter().position(|owed| owed.place == place);
        // Of an app server that may be away, a call asks nothing.
        if kind == Kind::Call && (!is_owed || !self.is_late) {
            prop_assert_eq!(pushes.list.len(), usize::from(is_owed), "a call does not wait");
        }
        let waits = kind != Kind::Call
            && self.config.patience > 0
            && self.acted.is_some_and(|at| (self.now.wall / SECOND - at) * SECOND < self.config.patience);
        if is_owed && known.is_none() && kind != Kind::Call {
            prop_assert!(!waits || pushes.list.is_empty(), "it waits");
            let came = self.now.mono;
            self.owed.push(Owed { chat, place, came, waits, is_read: false, is_told: false, has_push: false });
        }
        let is_important = !matches!(kind, Kind::Silent);
        if is_important && kind != Kind::Call && !pushes.list.is_empty() {
            prop_assert!(is_owed, "it is silenced");
            // What was read is known until the server stops.
            let is_read = known.is_some_and(|known| self.owed[known].is_read);
            prop_assert!(!is_read || self.is_forgetful, "it is read");
        }
        if kind != Kind::Call
            && !pushes.list.is_empty()
            && let Some(owed) = self.owed.iter_mut().find(|owed| owed.place == place)
        {
            owed.has_push = true;
        }
        for push in pushes.list {
            self.left(push, is_important);
        }
        Ok(())
    }

    fn left(&mut self, push: Push<P>, is_important: bool) {
        if is_important {
            // The phone wakes, and its client fetches all that there is.
            self.owed.iter_mut().for_each(|owed| owed.is_told = true);
        }
        self.in_flight.push((self.now.mono, push, is_important));
    }

    fn reads(&mut self, place: usize, by_marker: bool) {
        let (chat, _) = self.messages[place];
        let (jid, _) = CHATS[chat];
        let (key, marker) = (key(place), format!("m{place}"));
        let read = Read { chat: jid, message: if by_marker { Name::Marker(&marker) } else { Name::Archive(&key) } };
        let event = prosody_push::context::Event { now: self.now, user: "romeo", observed: false };
        let pushes = self.engine.on_read(event, &read, None, Holders::default());
        if pushes.is_err() {
            self.read_bookmarks();
            let again = self.engine.on_read(event, &read, None, Holders::default());
            assert!(again.expect("all is loaded").list.is_empty());
        }
        // Nobody reads a call. A message that is no longer among the newest of its chat is not known, nor one from before a restart.
        if self.messages[place].1 == Kind::Call {
            return;
        }
        let newer = self.messages[place + 1..].iter();
        let is_known = newer.filter(|(of, kind)| *of == chat && *kind != Kind::Call).count() < 8 && !self.is_forgetful;
        for owed in self.owed.iter_mut().filter(|owed| owed.chat == chat && owed.place <= place) {
            // Whether it counts is not ours to know if it is forgotten: the push may leave, or not.
            *if is_known { &mut owed.is_read } else { &mut owed.is_told } = true;
        }
    }

    fn answer(&mut self, place: usize, ok: bool) {
        let (_, push, is_important) = self.in_flight.swap_remove(place);
        let error = StanzaError { kind: "wait", condition: "remote-server-timeout", text: None, made_here: true };
        if ok && !P::POLICY.answers {
            return;
        }
        self.engine.on_answer(self.now, &push.id.to_string(), Some("push.example"), (!ok).then_some(error));
        if !ok && is_important {
            // What it stood for is owed again, as far as it is not read.
            self.is_late = true;
        }
    }

    fn restart(&mut self) -> Result<(), TestCaseError> {
        let held = self.engine.release_all(self.now);
        self.leave(held)?;
        if let Some((_, records)) = self.engine.last_unwritten(self.now).pop() {
            self.stored = Some(records);
        }
        self.engine = Engine::new(HOST.into(), self.config.clone(), not_random);
        self.engine.load("romeo", vec![P::phone()], false);
        self.read_bookmarks();
        if let Some(records) = self.stored.clone() {
            self.engine.recall(self.now, "romeo", records);
        }
        self.in_flight.clear();
        (self.is_late, self.is_forgetful) = (true, true);
        Ok(())
    }

    /// What leaves at once stands for messages that nobody has read, and that no push stood for before: one push for all that wait while
    /// the user is at his desk, and one for those that a burst held.
    fn leave(&mut self, leaving: Vec<Leaving<P>>) -> Result<(), TestCaseError> {
        let count = leaving.iter().filter(|leaving| leaving.important).count();
        if count > 0 && !self.is_late {
            let is_open = |owed: &&mut Owed| !owed.is_read && !owed.has_push;
            let (waited, held): (Vec<_>, Vec<_>) = self.owed.iter_mut().filter(is_open).partition(|owed| owed.waits);
            let reasons = [waited, held].into_iter().filter(|messages| !messages.is_empty());
            let reasons: Vec<_> = reasons.collect();
            prop_assert!(count <= reasons.len(), "{} pushes for {:?}", count, reasons);
            if count == reasons.len() {
                reasons.into_iter().flatten().for_each(|owed| owed.has_push = true);
            }
        }
        for Leaving { push, important, .. } in leaving {
            self.left(push, important);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), TestCaseError> {
        let leaving = self.engine.release(self.now);
        self.leave(leaving)?;
        for owed in self.owed.iter().filter(|owed| !owed.is_told && !owed.is_read && !self.is_late) {
            let bound = if owed.waits { self.config.patience } else { BURST };
            prop_assert!(self.now.mono <= owed.came + bound, "{owed:?} is late at {}", self.now.mono);
        }
        Ok(())
    }

    fn wait(&mut self, time: Millis) -> Result<(), TestCaseError> {
        let end = self.now.mono + time;
        loop {
            self.write();
            let now = self.now.mono;
            let old = self.in_flight.iter().map(|(sent, ..)| (sent + SLOWEST).saturating_sub(now)).min();
            let delay = [self.engine.timer(self.now), old].into_iter().flatten().min();
            let Some(delay) = delay.filter(|delay| now + delay <= end) else { break };
            self.now = self.now.after(delay);
            while let Some(place) = self.in_flight.iter().position(|(sent, ..)| sent + SLOWEST <= self.now.mono) {
                self.answer(place, true);
            }
            let gone = self.engine.on_timer(self.now);
            prop_assert!(gone.is_empty(), "no registration ends");
            self.release()?;
        }
        self.now = self.now.after(end - self.now.mono);
        Ok(())
    }
}

fn key(place: usize) -> String {
    format!("k{place}")
}

fn config() -> impl Strategy<Value = Config> {
    let rooms = prop_oneof![Just(Rooms::All), Just(Rooms::Mentions)];
    (rooms, prop_oneof![Just(0), Just(30 * SECOND), Just(60 * SECOND)], any::<bool>())
        .prop_map(|(rooms, patience, coalesce)| Config { rooms, patience, coalesce, explain: 0, ..Config::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_owed_gets_there_in_time_and_nothing_else_does_xep0357(config in config(), steps in vec(step(), 1..60)) {
        World::<Xep0357>::new(config).live(steps)?;
    }

    #[test]
    fn what_is_owed_gets_there_in_time_and_nothing_else_does_push2(config in config(), steps in vec(step(), 1..60)) {
        World::<Push2>::new(config).live(steps)?;
    }
}

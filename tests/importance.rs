//! The importance of a stanza: at least one stanza for each line of the rules.

mod support;

use prosody_push::reason::Reason;
use prosody_push::rules::importance::Importance::{self, CallEnds, Important, Low, None, Urgent};
use prosody_push::rules::importance::judge;
use support::{parse, word_of};

fn worth(stanza: &str) -> Result<Importance, Reason> {
    judge(word_of(&parse(stanza)))
}

fn of(attrs: &str, content: &str) -> Result<Importance, Reason> {
    worth(&format!("<message xmlns='jabber:client' {attrs}>{content}</message>"))
}

/// Asserts the importance of each content, in a chat message and in a carbon of such a message to another client.
#[track_caller]
fn all(expected: Importance, contents: &[&str]) {
    for content in contents {
        assert_eq!(of("type='chat'", content), Ok(expected), "{content}");
        assert_eq!(
            of("type='chat'", &carbon("received", "type='chat'", content)),
            Ok(expected),
            "in a carbon: {content}"
        );
    }
}

fn carbon(direction: &str, attrs: &str, content: &str) -> String {
    format!(
        "<{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client' {attrs}>{content}</message></forwarded></{direction}>"
    )
}

const BODY: &str = "<body>Wherefore art thou?</body>";
const HINT: &str = "<no-store xmlns='urn:xmpp:hints'/>";
const CALL: &str = "<propose xmlns='urn:xmpp:jingle-message:0' id='sid'/>";

fn jmi(name: &str) -> String {
    format!("<{name} xmlns='urn:xmpp:jingle-message:0' id='sid'/>")
}

#[test]
fn a_call_is_urgent() {
    all(
        Urgent,
        &[
            CALL,
            "<propose xmlns='urn:xmpp:jingle-message:1' id='sid'/>",
            "<invite xmlns='urn:xmpp:call-invites:0' video='true'><jingle sid='sid'/></invite>",
        ],
    );
    assert_eq!(of("", CALL), Ok(Urgent));
    assert_eq!(of("", &format!("{CALL}{HINT}")), Ok(Urgent), "a call rings even with no-store");
    let initiate = |content: &str| {
        worth(&format!(
            "<iq xmlns='jabber:client' type='set' id='1'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' \
             sid='s'>{content}</jingle></iq>"
        ))
    };
    assert_eq!(initiate(""), Ok(Urgent));
    let of_kind =
        |ns: &str| initiate(&format!("<content creator='initiator' name='a'><description xmlns='{ns}'/></content>"));
    assert_eq!(of_kind("urn:xmpp:jingle:apps:rtp:1"), Ok(Urgent));
    assert_eq!(of_kind("urn:xmpp:jingle:apps:file-transfer:5"), Ok(Low), "a file transfer is no call");
}

#[test]
fn the_end_of_a_call_has_its_own_importance() {
    for name in ["retract", "accept", "reject", "finish"] {
        assert_eq!(of("type='chat'", &jmi(name)), Ok(CallEnds), "{name}");
        assert_eq!(of("type='chat'", &format!("{}{HINT}", jmi(name))), Ok(CallEnds), "{name}");
    }
    for name in ["retract", "accept", "reject", "left"] {
        let invite = format!("<{name} xmlns='urn:xmpp:call-invites:0' id='m1'/>");
        assert_eq!(of("type='chat'", &invite), Ok(CallEnds), "{name}");
    }
    for name in ["proceed", "accept", "reject", "finish", "retract"] {
        assert_eq!(
            of("type='chat'", &carbon("sent", "type='chat'", &jmi(name))),
            Ok(CallEnds),
            "the user's own {name}"
        );
    }
    let accept = "<accept xmlns='urn:xmpp:call-invites:0' id='m1'/>";
    assert_eq!(
        of("type='groupchat'", accept),
        Err(Reason::NothingToShow),
        "an occupant of a room accepts for itself only"
    );
    assert_eq!(
        of("type='groupchat'", &format!("{accept}{BODY}")),
        Ok(Important),
        "in a room, an accept with a text is a message"
    );
    assert_eq!(of("type='chat'", &format!("{accept}{BODY}")), Ok(Important), "an accept with a text is a message");
    let retract = "<retract xmlns='urn:xmpp:call-invites:0' id='m1'/>";
    assert_eq!(of("type='groupchat'", retract), Ok(CallEnds));
}

#[test]
fn ringing_and_proceed_from_the_other_party_have_nothing_to_show() {
    for name in ["ringing", "proceed"] {
        assert_eq!(of("type='chat'", &jmi(name)), Err(Reason::NothingToShow), "{name}");
    }
    let ringing = carbon("sent", "type='chat'", &jmi("ringing"));
    assert_eq!(of("type='chat'", &ringing), Err(Reason::OwnMessage));
}

#[test]
fn a_text_is_important() {
    all(Important, &[BODY]);
    for attrs in ["", "type='normal'", "type='groupchat'"] {
        assert_eq!(of(attrs, BODY), Ok(Important), "{attrs}");
    }
    assert_eq!(of("type='chat'", &format!("<subject>Verona</subject>{BODY}")), Ok(Important));
}

#[test]
fn an_end_to_end_encrypted_message_is_important() {
    let encrypted = [
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:0'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:1'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<x xmlns='jabber:x:encrypted'>AA==</x>",
        "<openpgp xmlns='urn:xmpp:openpgp:0'>AA==</openpgp>",
        "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:example:mls'/><mls xmlns='urn:example:mls'/>",
    ];
    all(Important, &encrypted);
    for xml in encrypted {
        assert_eq!(of("type='groupchat'", &format!("<subject/>{xml}")), Ok(Important), "{xml}");
    }
}

#[test]
fn an_invitation_to_a_room_is_important() {
    let invitations = [
        "<x xmlns='jabber:x:conference' jid='verona@rooms.example.org'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='juliet@example.org'/></x>",
        "<body/><notification xmlns='http://quobis.com/xmpp/muc#push' jid='r@rooms.example.org'/><no-store xmlns='urn:xmpp:hints'/>",
    ];
    all(Important, &invitations);
    assert_eq!(of("", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>"), Ok(Low));
}

#[test]
fn a_subscription_request_is_the_only_important_presence() {
    let presence = |kind: &str| worth(&format!("<presence xmlns='jabber:client' {kind}/>"));
    assert_eq!(presence("type='subscribe'"), Ok(Important));
    for kind in ["", "type='unavailable'", "type='subscribed'", "type='unsubscribe'", "type='error'", "type='probe'"] {
        assert_eq!(presence(kind), Ok(None), "{kind}");
    }
}

#[test]
fn no_store_matters_only_for_a_message_without_a_body_or_a_payload() {
    all(Important, &[&format!("{BODY}{HINT}"), &format!("<openpgp xmlns='urn:xmpp:openpgp:0'>AA==</openpgp>{HINT}")]);
    all(Low, &[&format!("<body/>{HINT}")]);
    all(None, &[HINT, &format!("<received xmlns='urn:xmpp:receipts' id='m1'/>{HINT}")]);
}

#[test]
fn reactions_retractions_receipts_and_empty_messages_are_silent() {
    const FOR: &str = "<body>👍</body><fallback xmlns='urn:xmpp:fallback:0' for=";
    all(
        Low,
        &[
            "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>👍</reaction></reactions>",
            &format!("<reactions xmlns='urn:xmpp:reactions:0' id='m1'/>{FOR}'urn:xmpp:reactions:0'/>"),
            "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>",
            &format!("<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>{FOR}'urn:xmpp:message-retract:1'/>"),
            &format!(
                "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>{BODY}<fallback xmlns='urn:xmpp:fallback:0'/>"
            ),
            "<apply-to xmlns='urn:xmpp:fasten:0' id='m1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
            "<received xmlns='urn:xmpp:receipts' id='m1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/><active xmlns='http://jabber.org/protocol/chatstates'/>",
            "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/></encrypted>",
            "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>\
         <encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>",
            "<body/>",
            "<body xmlns='urn:example:other'>text</body>",
            "",
        ],
    );
    let reply = format!("{BODY}<reply xmlns='urn:xmpp:reply:0' id='m1'/>{FOR}'urn:xmpp:reply:0'/>");
    all(Important, &[&reply, &format!("<reactions xmlns='urn:xmpp:reactions:0' id='m1'/>{BODY}")]);
    assert_eq!(of("type='error'", BODY), Ok(Low));
    assert_eq!(of("type='groupchat'", &format!("<subject/>{BODY}")), Ok(Low));
    assert_eq!(worth("<iq xmlns='jabber:client' type='get' id='1'><query xmlns='jabber:iq:version'/></iq>"), Ok(Low));
    assert_eq!(worth("<iq xmlns='jabber:client' type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>"), Ok(Low));
}

#[test]
fn chat_states_events_subjects_and_empty_headlines_have_no_importance() {
    for state in ["active", "composing", "paused", "inactive", "gone"] {
        all(None, &[&format!("<{state} xmlns='http://jabber.org/protocol/chatstates'/>")]);
    }
    const EVENT: &str =
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item/></items></event>";
    assert_eq!(of("type='headline'", EVENT), Ok(None));
    assert_eq!(of("", EVENT), Ok(None));
    assert_eq!(of("type='headline'", ""), Ok(None));
    assert_eq!(of("type='headline'", CALL), Ok(None));
    assert_eq!(of("type='headline'", BODY), Ok(Low), "a headline with a text is silent");
    assert_eq!(of("", &format!("{EVENT}{BODY}")), Ok(Low));
    assert_eq!(of("type='groupchat'", "<subject>Verona</subject>"), Ok(None));
}

#[test]
fn answers_own_messages_and_pushes_wake_no_device() {
    for kind in ["result", "error"] {
        assert_eq!(worth(&format!("<iq xmlns='jabber:client' type='{kind}' id='1'/>")), Err(Reason::IsAnswer));
    }
    let page = format!(
        "<result xmlns='urn:xmpp:mam:2' id='a1'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client'>{BODY}</message></forwarded></result>"
    );
    assert_eq!(of("", &page), Err(Reason::IsAnswer));
    assert_eq!(of("type='chat'", &carbon("sent", "type='chat'", BODY)), Err(Reason::OwnMessage));
    assert_eq!(of("type='chat'", &carbon("sent", "type='chat'", CALL)), Err(Reason::OwnMessage));
    assert_eq!(of("", &format!("<notification xmlns='urn:xmpp:push2:0'/>{BODY}")), Err(Reason::IsPush));
    let event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item>\
                 <notification xmlns='urn:xmpp:push:0'/></item></items></event>";
    assert_eq!(of("type='headline'", event), Err(Reason::IsPush));
}

#[test]
fn a_carbon_has_the_importance_of_the_message_in_it() {
    assert_eq!(of("", &carbon("received", "type='headline'", BODY)), Ok(Low));
    assert_eq!(of("", &carbon("received", "type='groupchat'", &format!("<subject/>{BODY}"))), Ok(Low));
}

//! Is it important, is it urgent? A stanza for each line of the business rules.

mod support;

use prosody_push::importance::Importance::{self, Important, Low, Urgent};
use prosody_push::importance::judge;
use support::{parse, word_of};

fn of(attrs: &str, content: &str) -> Importance {
    judge(word_of(&parse(&format!("<message xmlns='jabber:client' {attrs}>{content}</message>"))))
}

fn carbon(direction: &str, attrs: &str, content: &str) -> String {
    format!(
        "<{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client' {attrs}>{content}</message></forwarded></{direction}>"
    )
}

const BODY: &str = "<body>Wherefore art thou?</body>";
const CALL: &str = "<propose xmlns='urn:xmpp:jingle-message:0' id='sid'/>";

#[test]
fn a_message_with_a_body_is_important() {
    assert_eq!(of("", BODY), Important);
    assert_eq!(of("type='chat'", BODY), Important);
    assert_eq!(of("type='groupchat'", BODY), Important);
}

#[test]
fn nothing_to_read_is_unimportant() {
    assert_eq!(of("", ""), Low);
    assert_eq!(of("", "<body/>"), Low);
    assert_eq!(of("", "<body xmlns='urn:example:other'>text</body>"), Low);
    assert_eq!(of("", "<received xmlns='urn:xmpp:receipts' id='m1'/>"), Low);
    assert_eq!(of("", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"), Low);
}

#[test]
fn a_headline_is_unimportant_whatever_is_in_it() {
    assert_eq!(of("type='headline'", BODY), Low);
    assert_eq!(of("type='headline'", CALL), Low);
}

#[test]
fn an_error_is_unimportant_though_it_carries_the_body() {
    assert_eq!(of("type='error'", BODY), Low);
}

#[test]
fn a_marker_is_unimportant() {
    assert_eq!(of("type='chat'", "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>"), Low);
}

#[test]
fn what_nobody_keeps_is_worth_no_push_unless_it_is_a_call() {
    const HINT: &str = "<no-store xmlns='urn:xmpp:hints'/>";
    assert_eq!(of("type='chat'", &format!("{BODY}{HINT}")), Importance::None);
    assert_eq!(of("type='chat'", &format!("{CALL}{HINT}")), Urgent);
}

#[test]
fn a_subject_of_a_room_is_unimportant() {
    assert_eq!(of("type='groupchat'", &format!("<subject/>{BODY}")), Low);
    assert_eq!(of("type='groupchat'", "<subject>Verona</subject>"), Low);
    assert_eq!(of("type='chat'", &format!("<subject>Verona</subject>{BODY}")), Important);
}

#[test]
fn end_to_end_encrypted_is_important_without_a_body() {
    for xml in [
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:0'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>AA==</payload></encrypted>",
        "<x xmlns='jabber:x:encrypted'>AA==</x>",
        "<openpgp xmlns='urn:xmpp:openpgp:0'>AA==</openpgp>",
    ] {
        assert_eq!(of("type='chat'", xml), Important, "{xml}");
        assert_eq!(of("type='groupchat'", &format!("<subject/>{xml}")), Important, "{xml}");
    }
}

#[test]
fn omemo_that_only_moves_keys_is_unimportant() {
    for ns in ["eu.siacs.conversations.axolotl", "urn:xmpp:omemo:0", "urn:xmpp:omemo:2"] {
        assert_eq!(of("type='chat'", &format!("<encrypted xmlns='{ns}'><header sid='1'/></encrypted>")), Low, "{ns}");
    }
}

#[test]
fn a_call_is_urgent() {
    assert_eq!(of("type='chat'", CALL), Urgent);
    assert_eq!(of("", CALL), Urgent);
    assert_eq!(of("", "<retract xmlns='urn:xmpp:jingle-message:0' id='sid'/>"), Low);
}

#[test]
fn a_carbon_counts_as_what_is_in_it() {
    assert_eq!(of("", &carbon("received", "type='chat'", BODY)), Important);
    assert_eq!(of("", &carbon("received", "type='chat'", CALL)), Urgent);
    assert_eq!(of("", &carbon("received", "type='headline'", BODY)), Low);
    assert_eq!(of("", &carbon("received", "type='groupchat'", &format!("<subject/>{BODY}"))), Low);
    assert_eq!(of("", &carbon("received", "type='chat'", "")), Low);
}

#[test]
fn one_s_own_message_in_a_carbon_is_unimportant() {
    assert_eq!(of("type='chat'", &carbon("sent", "type='chat'", BODY)), Low);
    assert_eq!(of("type='chat'", &carbon("sent", "type='chat'", CALL)), Low);
}

//! A third protocol, as short as one can be: what `docs/contributing.md` walks through.

mod support;

use prosody_push::context::{Context, Server};
use prosody_push::protocol::{Policy, Protocol};
use prosody_push::reason::Reason;
use prosody_push::registration::{Asked, Registration};
use prosody_push::rules::importance::Kind;
use prosody_push::time::{DAY, SECOND};
use support::{CHAT, Host, SECOND as LATER, assert_stays, one_by_one};

/// Rings a bell: its app server answers, and a push carries how loud the bell is.
#[derive(Clone, Debug, Default)]
struct Bell;

/// The bell's number.
#[derive(Debug, Default, PartialEq)]
struct Number(u32);

impl Asked for Number {
    fn is_same_device(own: &Registration<Number>, other: &Registration<Number>) -> bool {
        own.asked == other.asked
    }

    fn is_of_client(registration: &Registration<Number>, client_id: Option<&str>, _: &str) -> bool {
        client_id == Some(&registration.identifier)
    }
}

impl Protocol for Bell {
    const POLICY: &Policy = &Policy {
        answers: true,
        answers_from_resources: false,
        answer_timeout: 30 * SECOND,
        max_in_flight: 1000,
        tells_refusals: true,
        patience: 7 * DAY,
        max_registrations: Some(2),
        max_woken: Some(2),
        hibernates_past_push: false,
    };

    type Asked = Number;
    type Plan<'d> = Kind;
    type Payload = Kind;
    type Once = ();

    fn plan(&self, _: &Server, context: &Context, bell: &Registration<Number>) -> Result<Kind, Reason> {
        if bell.asked == Number(0) { Err(Reason::NothingAsked) } else { Ok(Kind::new(context.importance())) }
    }

    fn is_plain(&self, _: &Server, _: &Context, _: &Kind) -> bool {
        true
    }

    fn compose(&self, _: &Server, _: &Context, kind: Kind, (): &()) -> Kind {
        kind
    }

    fn plain(&self, _: &Server, _: &Registration<Number>, kind: Kind) -> Kind {
        kind
    }
}

fn bell(number: u32) -> Registration<Number> {
    Registration::new(&number.to_string(), "bells.example", Number(number), number.into())
}

#[test]
fn it_has_the_rules_of_the_others() {
    let mut host = Host::<Bell>::speaking(one_by_one(), vec![bell(0), bell(1), bell(2), bell(3)]);
    let pushes = host.offline(&CHAT);
    let rung: Vec<_> = pushes.iter().map(|push| (push.registration.asked.0, push.payload)).collect();
    assert_eq!(rung, [(2, Kind::Important), (3, Kind::Important)], "the newest two");
    assert_stays(host.answer(&pushes[0], "bells.example", None));
    assert_stays(host.answer(&pushes[1], "bells.example", Some(("wait", "resource-constraint"))));
    let again = host.after(4 * LATER).leaving();
    assert_eq!(again.iter().map(|push| push.registration.asked.0).collect::<Vec<_>>(), [3], "what failed is owed");
}

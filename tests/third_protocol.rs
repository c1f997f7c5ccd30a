//! A minimal third protocol, which `docs/contributing.md` walks through.

mod support;

use prosody_push::context::{Context, Server};
use prosody_push::protocol::{Policy, Protocol};
use prosody_push::reason::Reason;
use prosody_push::registration::{Asked, Registration};
use prosody_push::rules::importance::Kind;
use prosody_push::time::{DAY, Moment, SECOND};
use support::{CHAT, Host, SECOND as LATER, assert_stays, one_by_one};

/// A protocol that rings bells. Its app server answers each push, and the payload says how loud the bell rings.
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
    type Draft = Kind;
    type Payload = Kind;
    type Once = ();

    fn plan(&self, _: &Server, context: &Context, bell: &Registration<Number>) -> Result<Kind, Reason> {
        if bell.asked == Number(0) { Err(Reason::NothingAsked) } else { Ok(Kind::new(context.importance())) }
    }

    fn is_plain(&self, _: &Server, _: &Context, _: &Kind) -> bool {
        true
    }

    fn draft(&self, _: &Server, _: &Context, kind: Kind, (): &()) -> Kind {
        kind
    }

    fn compose(&self, _: &Server, _: Moment, draft: Kind) -> Kind {
        draft
    }

    fn plain(&self, _: &Server, _: &Registration<Number>, kind: Kind) -> Kind {
        kind
    }
}

fn bell(number: u32) -> Registration<Number> {
    Registration::new(&number.to_string(), "bells.example", Number(number), number.into())
}

#[test]
fn a_third_protocol_follows_the_common_rules() {
    let mut host = Host::<Bell>::speaking(one_by_one(), vec![bell(0), bell(1), bell(2), bell(3)]);
    let pushes = host.offline(&CHAT);
    let rung: Vec<_> = pushes.iter().map(|push| (push.registration.asked.0, push.payload)).collect();
    assert_eq!(rung, [(2, Kind::Important), (3, Kind::Important)], "only the two newest are pushed");
    assert_stays(host.answer(&pushes[0], "bells.example", None));
    assert_stays(host.answer(&pushes[1], "bells.example", Some(("wait", "resource-constraint"))));
    let again = host.after(4 * LATER).leaving();
    assert_eq!(again.iter().map(|push| push.registration.asked.0).collect::<Vec<_>>(), [3], "the failed push is owed");
}

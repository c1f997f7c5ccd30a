//! A phone made with tokio-xmpp, for spec/support/program.lua. Stream management is tokio-xmpp's, and the requests are xmpp-parsers'.

use std::borrow::Cow;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use sasl::common::ChannelBinding;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufStream};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_xmpp::connect::ServerConnector;
use tokio_xmpp::stanzastream::{Event, StanzaStream, StreamEvent};
use tokio_xmpp::xmlstream::{PendingFeaturesRecv, StreamHeader, Timeouts, initiate_stream};
use tokio_xmpp::{Error, Stanza};
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::presence::Presence;
use xmpp_parsers::push::{Disable, Enable};

/// The network of the phone: plain TCP, up and down as the spec says. A `StanzaStream` that is down connects again by itself.
#[derive(Clone, Debug)]
struct Network(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    port: u16,
    up: Notify,
    socket: Mutex<Option<std::net::TcpStream>>,
}

impl Network {
    fn new(port: u16) -> Self {
        Self(Arc::new(Connection { port, up: Notify::new(), socket: Mutex::default() }))
    }

    fn up(&self) {
        self.0.up.notify_one();
    }

    fn down(&self) {
        let socket = self.0.socket.lock().expect("nobody panics with it").take().expect("it is up");
        socket.shutdown(Shutdown::Both).expect("it is up");
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        self.0.up.notified().await;
        let socket = TcpStream::connect(("127.0.0.1", self.0.port)).await?.into_std()?;
        *self.0.socket.lock().expect("nobody panics with it") = Some(socket.try_clone()?);
        TcpStream::from_std(socket)
    }
}

impl ServerConnector for Network {
    type Stream = BufStream<TcpStream>;

    async fn connect(
        &self,
        jid: &Jid,
        ns: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<Self::Stream>, ChannelBinding), Error> {
        let stream = BufStream::new(self.dial().await?);
        let header = StreamHeader { to: Some(Cow::Borrowed(jid.domain().as_str())), from: None, id: None };
        Ok((initiate_stream(stream, ns, header, timeouts).await?, ChannelBinding::None))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [control, port, jid, password] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("four arguments");
    let (commands, mut reports) = TcpStream::connect(("127.0.0.1", control.parse()?)).await?.into_split();
    let mut commands = BufReader::new(commands).lines();
    let network = Network::new(port.parse()?);
    let mut stream = StanzaStream::new_c2s(network.clone(), Jid::new(&jid)?, password, Timeouts::default(), 16);
    network.up();
    loop {
        tokio::select! {
            line = commands.next_line() => {
                let line = line?.unwrap_or_default();
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["enable", jid, node, secret] => drop(stream.send(Box::new(enable(jid, node, secret).into())).await),
                    ["disable", jid, node] => drop(stream.send(Box::new(disable(jid, node).into())).await),
                    ["cut"] => network.down(),
                    ["resume"] => network.up(),
                    _ => return Ok(()),
                }
            }
            event = stream.next() => {
                let event = event.expect("a stream that connects again");
                if let Event::Stream(StreamEvent::Reset { .. }) = event {
                    stream.send(Box::new(Presence::available().into())).await;
                }
                match report(&event) {
                    Some(line) => reports.write_all(format!("{line}\n").as_bytes()).await?,
                    None => println!("{event:?}"),
                }
            }
        }
    }
}

/// The line for the spec, if the event has one.
fn report(event: &Event) -> Option<String> {
    match event {
        Event::Stream(StreamEvent::Reset { .. }) => Some("started".to_owned()),
        Event::Stream(StreamEvent::Suspended) => Some("cut".to_owned()),
        Event::Stream(StreamEvent::Resumed) => Some("resumed".to_owned()),
        Event::Stanza(Stanza::Iq(Iq::Result { id, .. })) => Some(id.clone()),
        Event::Stanza(Stanza::Message(message)) => Some(format!("message {}", message.get_best_body(Vec::new())?.1)),
        Event::Stanza(_) => None,
    }
}

// The id of a request is the line for the spec when the server has done it.
fn enable(jid: &str, node: &str, secret: &str) -> Iq {
    let secret = Field::text_single("secret", secret);
    let form = DataForm::new(DataFormType::Submit, "http://jabber.org/protocol/pubsub#publish-options", vec![secret]);
    let jid = BareJid::new(jid).expect("a JID");
    Iq::from_set("enabled", Enable { jid, node: Some(node.to_owned()), form: Some(form) })
}

fn disable(jid: &str, node: &str) -> Iq {
    let jid = BareJid::new(jid).expect("a JID");
    Iq::from_set("disabled", Disable { jid, node: Some(node.to_owned()) })
}

"""A phone made with slixmpp, for spec/support/program.lua: stream management is slixmpp's, <enable/> is ours."""
import asyncio
import sys
from xml.etree.ElementTree import Element, SubElement

import slixmpp

FORM, PUSH = "jabber:x:data", "urn:xmpp:push:0"


def field(form, name, value):
    SubElement(SubElement(form, f"{{{FORM}}}field", var=name), f"{{{FORM}}}value").text = value


class Phone(slixmpp.ClientXMPP):
    def __init__(self, jid, password, port, report):
        super().__init__(jid, password)
        self.port, self.report = port, report
        self.register_plugin("xep_0198")
        self["feature_mechanisms"].unencrypted_scram = True
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("session_resumed", lambda _: report("resumed"))
        self.add_event_handler("message", lambda message: report("message " + message["body"]))

    def dial(self):
        # 1.8, which Debian 12 has, wants this of connect(); later versions have fields.
        if hasattr(self, "enable_plaintext"):
            self.enable_plaintext, self.enable_starttls, self.enable_direct_tls = True, False, False
            self.connect("127.0.0.1", self.port)
        else:
            self.connect(("127.0.0.1", self.port), force_starttls=False, disable_starttls=True)

    async def started(self, _):
        self.send_presence()
        self.report("started")

    async def push(self, action, jid, node, secret=None):
        iq = self.make_iq_set()
        request = SubElement(iq.xml, f"{{{PUSH}}}{action}", jid=jid, node=node)
        if secret:
            form = SubElement(request, f"{{{FORM}}}x", type="submit")
            field(form, "FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options")
            field(form, "secret", secret)
        await iq.send()
        self.report(action + "d")


async def main():
    control, port, jid, password = sys.argv[1:]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(control))
    phone = Phone(jid, password, int(port), lambda line: writer.write((line + "\n").encode()))
    phone.dial()
    while True:
        command, *words = (await reader.readline()).decode().split() or ["quit"]
        if command in ("enable", "disable"):
            await phone.push(command, *words)
        elif command == "cut":
            phone.abort()
            await phone.wait_until("disconnected")
            phone.report("cut")
        elif command == "resume":
            phone.dial()
        else:
            phone.abort()
            return


asyncio.get_event_loop().run_until_complete(main())

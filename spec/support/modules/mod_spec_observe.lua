-- What a client does well, and what it leaves out, for one who tests it with `make serve`: a list of lines, which begin with "+" or
-- "-" and the client's JID, in prosody.observed.
local st = require "util.stanza";
local jid = require "util.jid";

local xmlns_jmi = "urn:xmpp:jingle-message:0";
-- Until then a client has said what it says when it connects.
local SETTLED = 5;

prosody.observed = {};

local function say(session, is_well, text)
	table.insert(prosody.observed, ("%s %s %s"):format(is_well and "+" or "-", session.full_jid, text));
end

-- What is so is well; what is not is left out.
local function judge(session, is_so, well, left_out)
	say(session, is_so, is_so and well or left_out);
end

local function has_connected(session)
	if not session.full_jid or session.destroyed then return; end
	judge(session, session.smacks, "enabled stream management.",
		"has no stream management (XEP-0198): the server does not see that its connection is dead, and wakes nobody.");
	if session.smacks then
		judge(session, session.resumption_token, "can resume its session.",
			"did not ask for resumption: what waits when its connection breaks, it has to fetch from the archive.");
	end
	judge(session, session.client_id, "has a user agent id.",
		"gave no user agent id (SASL2, XEP-0388): it is known by its resource, and under another it is another device.");
	judge(session, session.spec_enabled, "enabled push in this session.",
		session.push_identifier and "did not enable push in this session: it holds its registration from before."
			or "did not enable push in this session: it is pushed while it is in use.");
end

module:hook("resource-bind", function (event)
	local session = event.session;
	module:add_timer(SETTLED, function () has_connected(session); end);
end);

for _, xmlns in ipairs({ "urn:xmpp:push:0", "urn:xmpp:push2:0" }) do
	module:hook("iq-set/self/"..xmlns..":enable", function (event)
		event.origin.spec_enabled = true;
	end, 1000);
end

module:hook("csi-client-inactive", function (event)
	event.origin.spec_inactive = true;
end, 1000);

module:hook("smacks-ack-delayed", function (event)
	say(event.origin, false, "does not answer <r/>: from now on what comes for it is pushed, too.");
end, 1000);

module:hook("smacks-hibernation-start", function (event)
	local session = event.origin;
	say(session, true, "sleeps: what comes for it wakes it.");
	judge(session, session.spec_inactive, "said before that it was inactive.",
		"did not say that it was inactive (XEP-0352) before it slept: it was sent presence and chat states up to the end.");
end, 1000);

module:hook("smacks-hibernation-end", function (event)
	say(event.resumed or event.origin, true, "resumed its session.");
end, -1000);

-- XEP-0353 0.6: who takes a call says so to the caller's full JID.
for _, event_name in ipairs({ "pre-message/full", "pre-message/bare" }) do
	module:hook(event_name, function (event)
		local proceed = st.is_stanza(event.stanza) and event.stanza:get_child("proceed", xmlns_jmi);
		if proceed then
			judge(event.origin, jid.resource(event.stanza.attr.to), "took the call at the caller's full JID.",
				"sent <proceed/> to a bare JID: all devices of the caller get it.");
		end
	end, 1000);
end

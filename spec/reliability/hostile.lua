-- Hostile clients and servers.
local alter = require "spec.support.odd".alter;
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local PUSH = "push.example.test";
local VICTIM = "push2.example.test";

local function stored(server, user)
	local n, bytes = 0, 0;
	for _, record in pairs(server:stored(user or "romeo") or {}) do
		n = n + 1;
		bytes = bytes + #require "util.serialization".serialize(record);
	end
	return n, bytes;
end

local function form(fields, size)
	local x = st.stanza("x", { xmlns = "jabber:x:data", type = "submit" });
	for i = 1, fields do x:tag("field", { var = "f"..i }):text_tag("value", ("v"):rep(size)):up(); end
	return x:reset();
end

local function nested(depth)
	local x = st.stanza("x", { xmlns = "jabber:x:data" });
	for _ = 1, depth do x:tag("field"); end
	return x:reset();
end

-- Makes five registrations of the largest size at a victim's app server, then sends messages as fast as possible.
local function amplify(start, size, answer)
	local server = start { options = { push_coalesce = true }, disable = { "mam", "offline" } };
	local victim = appserver.connect(server, VICTIM);
	victim.answer = answer;
	local bytes = 0;
	local handle = victim.handle;
	function victim.handle(self, stanza)
		bytes = bytes + #tostring(stanza);
		return handle(self, stanza);
	end
	local romeo = client.connect(server, "romeo");
	for i = 1, 5 do romeo:enable_push({ jid = VICTIM, node = "n"..i, options = form(1, 12000) }); end
	romeo:close();
	local juliet = client.connect(server, "juliet");
	local sent = 0;
	while sent < size do
		for _ = 1, 100 do
			sent = sent + 1;
			juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m"..sent }, "!"));
		end
		juliet:sync();
		juliet.stanzas = {};
	end
	return victim:settled(), bytes, stored(server);
end

-- Returns children of a message, one for each element that the rules look at.
local function parts()
	local xmlns_omemo, xmlns_call = "eu.siacs.conversations.axolotl", "urn:xmpp:jingle-message:0";
	local function omemo()
		return st.stanza("encrypted", { xmlns = xmlns_omemo }):tag("header", { sid = "1" })
			:text_tag("key", "a2V5", { rid = "1325" }):text_tag("iv", "aXY="):up():text_tag("payload", "ZGF0YQ=="):reset();
	end
	local function forwarded(name)
		return st.stanza(name, { xmlns = "urn:xmpp:carbons:2" }):tag("forwarded", { xmlns = "urn:xmpp:forward:0" })
			:tag("message", { xmlns = "jabber:client", from = "juliet@example.test/phone", type = "chat" }):add_child(omemo()):reset();
	end
	return {
		omemo(), forwarded("received"), forwarded("sent"),
		st.stanza("encrypted", { xmlns = "urn:xmpp:omemo:2" }):text_tag("payload", "ZGF0YQ=="),
		st.stanza("encryption", { xmlns = "urn:xmpp:eme:0", namespace = xmlns_omemo }),
		st.stanza("openpgp", { xmlns = "urn:xmpp:openpgp:0" }):text("ZGF0YQ=="), st.stanza("x", { xmlns = "jabber:x:encrypted" }),
		tigase.call("call", "audio", "video"), st.stanza("retract", { xmlns = xmlns_call, id = "call" }),
		st.stanza("accept", { xmlns = xmlns_call, id = "call" }),
		st.stanza("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", uri = "xmpp:romeo@example.test" }),
		st.stanza("reply", { xmlns = "urn:xmpp:reply:0", to = "romeo@example.test", id = "m1" }),
		st.stanza("replace", { xmlns = "urn:xmpp:message-correct:0", id = "m1" }),
		st.stanza("active", { xmlns = "http://jabber.org/protocol/chatstates" }), st.stanza("subject"):text("Balcony"),
		st.stanza("stanza-id", { xmlns = "urn:xmpp:sid:0", by = "romeo@example.test", id = "forged" }),
		st.stanza("no-store", { xmlns = "urn:xmpp:hints" }),
		st.stanza("notification", { xmlns = push2.xmlns }):text_tag("client", "c"),
	};
end

return {
	{
		name = "forms of 10,000 fields and of 10,000 levels, nodes and payloads of a megabyte, 16 kB and one byte";
		counts = "bytes stored";
		run = function (start)
			local server = start { global = { c2s_stanza_size_limit = 4e6 } };
			local romeo = client.connect(server, "romeo");
			local before = server:memory();
			for _, fields in ipairs({
				{ options = form(10000, 10) }, { options = nested(10000) }, { options = form(1, 1e6) },
				{ node = ("n"):rep(1e6) }, { include_payload = ("p"):rep(1e6) }, { node = ("n"):rep(16 * 1024 + 1) },
			}) do
				fields.jid = PUSH;
				romeo:enable_push(fields);
			end
			local _, bytes = stored(server);
			assert(bytes == 0, ("%d were stored"):format(bytes));
			assert(romeo:enable_push({ jid = PUSH, node = "n" }).attr.type == "result", "and then no other");
			server:eval("collectgarbage() collectgarbage()");
			local growth = (server:memory() - before) / 1e6;
			assert(growth < 30, ("memory grew by %.0f MB"):format(growth));
			return "0, each refused with a reason";
		end;
	};
	{
		name = "requests to enable in a row by one client, each with another node";
		counts = "registrations stored, growth of memory after the first tenth";
		size = { 5000, 100000 };
		run = function (start, size)
			local server = start { log_level = "error", storage = "memory" };
			local romeo = client.connect(server, "romeo");
			local base;
			for i = 1, size do
				romeo:send(st.stanza("iq", { type = "set", id = "e"..i })
					:tag("enable", { xmlns = "urn:xmpp:push:0", jid = PUSH, node = "n"..i }):reset());
				if i % 100 == 0 then
					romeo:sync();
					romeo.stanzas = {};
				end
				if i == size // 10 then base = server:memory(); end
			end
			server:eval("collectgarbage() collectgarbage()");
			local n, growth = stored(server), (server:memory() - base) / 1e6;
			assert(n == 5, n.." are stored");
			assert(growth < 4, ("memory grew by %.1f MB"):format(growth));
			return ("5 registrations, %.1f MB, of %d"):format(growth, size);
		end;
	};
	{
		name = "messages to a user with five registrations at a third party that answers with errors";
		counts = "pushes to the third party";
		size = { 2000, 10000 };
		run = function (start, size)
			local pushes, bytes, left = amplify(start, size, { "cancel", "service-unavailable" });
			assert(pushes <= 5 * 16 and left <= 5, ("%d"):format(pushes));
			return ("%d (%d kB) for %d messages"):format(pushes, bytes // 1000, size);
		end;
	};
	{
		name = "the same with a third party that never answers";
		counts = "pushes to the third party";
		size = { 2000, 10000 };
		run = function (start, size)
			local pushes, bytes = amplify(start, size, "none");
			assert(pushes <= size / 100, ("%d (%d kB)"):format(pushes, bytes // 1000));
			return ("%d (%d kB) for %d messages"):format(pushes, bytes // 1000, size);
		end;
	};
	{
		name = "registrations at foreign, full and own JIDs, at the server itself and its services";
		counts = "stanzas that reach another user's client";
		run = function (start)
			local server = start { options = { push_max_devices = 20 }, components = { ["rooms.example.test"] = "muc" } };
			local juliet = client.connect(server, "juliet", { resource = "phone" });
			local romeo = client.connect(server, "romeo", { resource = "phone" });
			juliet.stanzas = {};
			for _, jid in ipairs({
				"juliet@example.test", "juliet@example.test/phone", "example.test", "rooms.example.test", "room@rooms.example.test",
				"nobody@example.test", "example.test/resource", "control.example.test",
			}) do
				assert(romeo:enable_push({ jid = jid, node = "n" }).attr.type == "result", jid.." is refused");
			end
			-- The reference accepts the bare JID.
			romeo:enable_push({ jid = "romeo@example.test", node = "n" });
			for _ = 1, 20 do server:ping("romeo"); end
			juliet:sync();
			local reached = 0;
			for _, stanza in ipairs(juliet.stanzas) do
				if stanza.attr.type == "set" then reached = reached + 1; end
				assert(stanza.name == "iq", "a "..stanza.name.." reached juliet");
			end
			assert(not server:log():find("[Tt]raceback"), "something raised");
			assert(reached <= 20, reached);
			return reached.." of 20 (the registration at her very resource: an IQ that her client refuses)";
		end;
	};
	{
		name = "forged answers and remote disables, from users, components and the account itself";
		counts = "registrations lost";
		run = function (start)
			local server = start { options = { push_max_errors = 1 } };
			local app, stranger = appserver.connect(server, PUSH), appserver.connect(server, VICTIM);
			app.answer = "none";
			local romeo, juliet = client.connect(server, "romeo"), client.connect(server, "juliet");
			romeo:enable_push({ jid = PUSH, node = "n" });
			server:ping("romeo");
			local iq = app:expect(1);
			local function disable(affiliation, jid)
				return st.message({ to = "romeo@example.test" }):tag("pubsub", { xmlns = "http://jabber.org/protocol/pubsub", node = "n" })
					:tag("affiliation", { jid = jid or "romeo@example.test", affiliation = affiliation }):reset();
			end
			for _, from in ipairs({ romeo, juliet, stranger }) do
				for _, id in ipairs({ iq.attr.id, iq.attr.id:upper(), "", ("0"):rep(22), iq.attr.id:sub(1, -2) }) do
					local forged = st.error_reply(iq, "cancel", "item-not-found");
					forged.attr.from, forged.attr.id = from == stranger and from.jid or nil, id;
					from:send(forged);
				end
				for _, affiliation in ipairs({ "none", "outcast" }) do
					local forged = disable(affiliation);
					forged.attr.from = from == stranger and from.jid or nil;
					from:send(forged);
				end
			end
			for _, session in ipairs({ romeo, juliet }) do session:sync(); end
			stranger:settled();
			-- The app server itself, about another account.
			for _, jid in ipairs({ "juliet@example.test", "romeo@example.testing", "romeo", "" }) do
				local forged = disable("none", jid);
				forged.attr.from = app.jid;
				app:send(forged);
			end
			app:settled();
			local left = stored(server);
			assert(left == 1, "1");
			assert(not server:log():find("[Tt]raceback"), "something raised");
			return "0";
		end;
	};
	{
		name = "messages of 50 levels, with odd and repeated parts, for namesakes on other hosts";
		counts = "messages not delivered, pushes that are missing or too many";
		run = function (start)
			local server = start { hosts = { "other.test" } };
			local app = appserver.connect(server, PUSH);
			local romeo, juliet = client.connect(server, "romeo"), client.connect(server, "juliet");
			romeo:enable_push({ jid = PUSH, node = "n" });
			local namesake = client.connect(server, "romeo", { host = "other.test" });
			romeo:close();
			local forwarded = st.message({ from = "romeo@example.test" }, "x");
			for _ = 1, 16 do
				forwarded = st.message({ from = "romeo@example.test", type = "chat" })
					:tag("received", { xmlns = "urn:xmpp:carbons:2" }):tag("forwarded", { xmlns = "urn:xmpp:forward:0" }):add_child(forwarded):reset();
			end
			local wanted = 0;
			local function odd(...)
				wanted = wanted + 1;
				juliet:message { to = "romeo@example.test", body = "A", id = "m"..wanted, ... };
			end
			local call = { xmlns = "urn:xmpp:jingle-message:0" };
			for i = 1, 3 do
				odd(forwarded.tags[1], forwarded.tags[1]);
				odd(nested(50));
				odd(st.stanza("stanza-id", { xmlns = "urn:xmpp:sid:0", by = "romeo@example.test", id = "forged" }));
				odd(st.stanza("propose", call), st.stanza("propose", call));
				odd(st.stanza("retract", { xmlns = call.xmlns, id = ("x"):rep(10000)..i }));
				odd(st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):tag("payload"):tag("payload"):reset());
				odd(st.stanza("body", { xmlns = "urn:example:other" }):text("\u{10FFFF}\u{202E}"));
			end
			local pushes = app:settled();
			for i = 1, 3 do
				juliet:message { to = "romeo@other.test", body = "B", id = "namesake"..i };
				client.connect(server, "mercutio"):message { to = "romeo@other.test/nobody", body = "C" };
			end
			assert(app:settled() == pushes, "a namesake's messages were pushed");
			namesake:expect(function (stanza) return stanza.attr.id == "namesake3"; end, "the namesake's message");
			local delivered = 0;
			romeo = client.connect(server, "romeo");
			while romeo:received(function (stanza) return stanza:get_child_text("body") == "A"; end) do delivered = delivered + 1; end
			assert(not server:log():find("[Tt]raceback"), "something raised");
			assert(delivered == wanted, ("%d of %d messages delivered"):format(delivered, wanted));
			assert(pushes == wanted, ("%d pushes for %d messages"):format(pushes, wanted));
			return ("0 of %d, 0"):format(wanted);
		end;
	};
	{
		name = "messages of the elements that the rules look at, changed at random, to devices that use every option of a registration";
		counts = "faults logged, the next push works";
		size = { 2000, 20000 };
		run = function (start, size)
			local server = start { log_level = "error", enable = { "cloud_notify_extensions", "push2" } };
			local seed = os.time();
			math.randomseed(seed);
			local app = appserver.connect(server, PUSH);
			local omemo = st.stanza("omemo", { xmlns = "tigase:push:encrypt:omemo:0", deviceId = "1325" });
			local rooms = tigase.rooms { jid = "juliet@example.test", allow = "mentioned", nick = "Romeo" };
			local asleep = {};
			for _, user in ipairs({ "romeo", "mercutio" }) do
				local phone = client.connect(server, user, { resource = "phone", smacks = user == "mercutio" });
				phone:enable_push({ jid = PUSH, node = user, tigase.encrypt(), omemo, rooms, tigase.ignore_unknown(), tigase.muted() });
				-- The reference does not know Push 2.0.
				phone:iq(push2.iq(push2.enable {
					service = PUSH, push2.match("important", { grace = 1, filters = { { "juliet@example.test", "mention", "reply" } } }),
					push2.match("archived", { send = push2.encrypted, jwt = "ES256" }),
				}));
				if user == "romeo" then phone:close(); else asleep = phone; end
			end
			asleep:acked();
			asleep:sleep();
			local juliet = client.connect(server, "juliet");
			for i = 1, size do
				local message = st.message({ id = "m"..i, type = ({ "chat", "normal", "groupchat", "headline", "error" })[math.random(5)] });
				if math.random(2) == 1 then message:text_tag("body", "It is the east"); end
				for _ = 1, math.random(3) do
					local all = parts();
					message:add_child(all[math.random(#all)]);
				end
				for _ = 1, math.random(3) do alter(message); end
				for _, to in ipairs({ "romeo@example.test", "mercutio@example.test" }) do
					message.attr.to = to;
					juliet:send(message);
				end
				if i % 100 == 0 then
					juliet:sync();
					juliet.stanzas = {};
				end
			end
			app:settled();
			local before = #app.pushes;
			juliet:message { to = "romeo@example.test", body = "Romeo?", id = "last" };
			assert(app:settled() > before, "no push after it");
			local faults = select(2, server:log():gsub("stack traceback", ""));
			assert(faults == 0, ("%d with seed %d, the first: %s"):format(faults, seed, server:log():match("[^\n]*%f[%w]fault[^\n]*")));
			return "0, yes";
		end;
	};
	{
		name = "line breaks in nodes and in app servers' errors, with texts of messages and secrets in forms";
		counts = "forged lines and secrets in the log at debug";
		run = function (start)
			local server = start { options = { push_max_errors = 2, push_notification_with_body = true, push_notification_with_sender = true } };
			local app = appserver.connect(server, PUSH);
			local line = "\nNov 21 00:00:00 example.test:cloud_notify\tinfo\tForged";
			app.answer = { "cancel", "item-not-found", "text"..line };
			local romeo = client.connect(server, "romeo");
			for i = 1, 6 do romeo:enable_push({ jid = PUSH, node = i..line, options = { secret = "hunter2" } }); end
			romeo:disable_push({ jid = PUSH, node = "4"..line });
			romeo:close();
			local juliet = client.connect(server, "juliet");
			for i = 1, 3 do juliet:message { to = "romeo@example.test", body = "It is the east", id = "m"..i..line }; end
			app:settled();
			local log = "\n"..server:log();
			local forged, secrets = select(2, log:gsub("\nNov 21 00:00:00", "")), 0;
			for _, secret in ipairs({ "hunter2", "It is the east" }) do secrets = secrets + select(2, log:gsub(secret, "")); end
			assert(forged == 0 and secrets == 0, ("%d and %d"):format(forged, secrets));
			return "0 and 0";
		end;
	};
};

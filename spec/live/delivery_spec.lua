-- Which events wake which devices, and the content of the pushes.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local st = require "util.stanza";

local function start(opts)
	opts.version, opts.module = os.getenv("PROSODY"), "ours";
	return prosody.start(opts);
end

local calls = 0;
local function call()
	calls = calls + 1;
	return st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "call"..calls })
		:tag("description", { xmlns = "urn:xmpp:jingle:apps:rtp:1", media = "audio" }):reset();
end

-- Registers devices of a user who is away then.
local function register(server, user, nodes)
	local session = client.connect(server, user, { resource = "register" });
	for _, node in ipairs(nodes) do
		assert.equal("result", session:enable_push({ jid = "push.example.test", node = node }).attr.type);
	end
	session:close();
end

local function woken(app)
	app:settled();
	local nodes = {};
	for i, push in ipairs(app.pushes) do nodes[i] = appserver.read(push).node; end
	table.sort(nodes);
	app.pushes = {};
	return nodes;
end

local function summary(app)
	assert.equal(1, app:settled());
	return appserver.read(table.remove(app.pushes)).summary;
end

local function pinged(fields)
	local form = { FORM_TYPE = "urn:xmpp:push:summary"; ["message-count"] = "1" };
	for name, value in pairs(fields or {}) do form[name] = value; end
	return form;
end

for _, archive in ipairs({ "with", "without" }) do
	describe("a message, "..archive.." an archive,", function ()
		local server, app, juliet;
		setup(function ()
			server = start { disable = archive == "without" and { "mam" } or nil };
			app = appserver.connect(server, "push.example.test");
			juliet = client.connect(server, "juliet");
			register(server, "romeo", { "phone", "tablet" });
		end);
		teardown(function () server:stop(); end);
		before_each(function () app.pushes = {}; end);

		it("wakes every device of a user who is away, once", function ()
			juliet:message { to = "romeo@example.test", body = "Romeo?" };
			assert.same({ "phone", "tablet" }, woken(app));
		end);

		it("wakes every device of a user whose clients want no messages, once", function ()
			local silent = client.connect(server, "romeo", { presence = false });
			juliet:message { to = "romeo@example.test", body = "Romeo?" };
			assert.same({ "phone", "tablet" }, woken(app));
			silent:close();
		end);

		it("is also stored for the user", function ()
			juliet:message { to = "mercutio@example.test", body = "Good Mercutio" };
			local mercutio = client.connect(server, "mercutio");
			mercutio:expect(function (stanza) return stanza:get_child_text("body") == "Good Mercutio"; end, "the offline message");
			mercutio:close();
		end);

		it("to a user who does not exist wakes no device", function ()
			juliet:message { to = "nobody@example.test", body = "Hello?" };
			assert.same({}, woken(app));
			assert.not_matches("A fault in", server:log());
		end);

		it("from a room to a bare JID wakes every device", function ()
			app:send(st.message({ from = "push.example.test/nick", to = "romeo@example.test", type = "groupchat" }, "All: romeo?"));
			app:expect(2);
			assert.same({ "phone", "tablet" }, woken(app));
		end);

		it("causes pushes that show whether it is important", function ()
			local cases = {
				{ true, body = "Romeo?" };
				{ true, st.stanza("x", { xmlns = "jabber:x:encrypted" }):text("AA==") };
				{ true, st.stanza("openpgp", { xmlns = "urn:xmpp:openpgp:0" }):text("AA==") };
				{ true, st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):text_tag("payload", "AA==") };
				{ false, st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):text_tag("header", "") };
				{ true, call() };
				{ false, st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" }) };
				{ false, body = "" };
			};
			for i, case in ipairs(cases) do
				juliet:message { to = "romeo@example.test", body = case.body, case[2] };
				assert.equal(2, app:settled(), "case "..i);
				local body = appserver.read(app.pushes[1]).summary["last-message-body"];
				assert.equal(case[1] and "New Message!" or nil, body, "case "..i);
				app.pushes = {};
			end
		end);
	end);
end

describe("an archived message", function ()
	local server, app, juliet, phone;
	setup(function ()
		server = start {};
		app = appserver.connect(server, "push.example.test");
		juliet = client.connect(server, "juliet");
		register(server, "romeo", { "tablet", "phone" });
		phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push({ jid = app.jid, node = "phone" });
	end);
	teardown(function () server:stop(); end);
	before_each(function () app.pushes = {}; end);

	it("wakes devices without a session", function ()
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		assert.same({ "tablet" }, woken(app));
	end);

	it("wakes no device if the user sent it", function ()
		phone:message { to = "juliet@example.test", body = "Juliet!" };
		assert.same({}, woken(app));
	end);

	it("wakes no device if the addressee only has the user's name on another host", function ()
		phone:message { to = "romeo@push2.example.test", body = "My namesake" };
		assert.same({}, woken(app));
	end);

	it("to oneself wakes no device", function ()
		phone:message { to = "romeo@example.test", body = "Note to self" };
		phone:message { body = "Note to self, to nobody" };
		assert.same({}, woken(app));
	end);

	it("that is a call wakes every device, connected or not", function ()
		juliet:message { to = "romeo@example.test", call() };
		assert.same({ "phone", "tablet" }, woken(app));
	end);

	it("does not wake a device whose registration another module has bound to a session", function ()
		server:eval([[
			local session = prosody.hosts[module.host].sessions.romeo.sessions.phone;
			session.push_identifier, session.push_settings = "push.example.test<tablet", {};
		]]);
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		assert.same({ "phone" }, woken(app));
		server:eval("prosody.hosts[module.host].sessions.romeo.sessions.phone.push_identifier = 'push.example.test<phone'");
	end);
end);

describe("a message in no archive", function ()
	it("is pushed once, even if mod_smacks hands back another session's copy", function ()
		local server = start { disable = { "mam" }, options = { smacks_hibernation_time = 1 } };
		local app = appserver.connect(server, "push.example.test");
		local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
		phone:enable_push({ jid = app.jid, node = "phone" });
		-- This client has no registration.
		local desk = client.connect(server, "romeo", { resource = "desk", smacks = true });
		phone:acked();
		desk:acked();
		phone.stream.stalled, desk.stream.stalled = true, true;
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		phone:sleep();
		assert.same({ "phone" }, woken(app));
		phone:gone();
		desk:sleep();
		desk:gone();
		assert.same({}, woken(app), "when desk's session ended");
		server:stop();
	end);
end);

describe("cloud-notify-ping", function ()
	local server, app;
	setup(function ()
		server = start { options = { push_notification_with_body = true, push_notification_with_sender = true } };
		app = appserver.connect(server, "push.example.test");
		register(server, "romeo", { "phone", "tablet" });
	end);
	teardown(function () server:stop(); end);

	it("wakes every device with a push without content", function ()
		server:ping("romeo");
		app:expect(2);
		assert.same(pinged(), appserver.read(app.pushes[1]).summary);
		assert.same({ "phone", "tablet" }, woken(app));
	end);

	it("wakes only the devices that are given", function ()
		server:eval([[
			local records = module:open_store("cloud_notify"):get("romeo");
			local identifier = "push.example.test<tablet";
			module:fire_event("cloud-notify-ping", { user = "romeo", push_services = { [identifier] = records[identifier] } });
		]]);
		assert.same({ "tablet" }, woken(app));
	end);

	it("for no user, or with malformed data, causes no push and no fault", function ()
		for _, event in ipairs({ "{}", "{ user = 'nobody' }", "{ user = 'romeo', push_services = 7 }", "{ user = {} }",
			"{ user = 'romeo', push_services = { 1, 'x', { jid = 1 } } }" }) do
			server:eval("module:fire_event('cloud-notify-ping', "..event..")");
		end
		assert.same({}, woken(app));
	end);
end);

describe("the option", function ()
	local function with(options, message)
		local server = start { options = options };
		local app = appserver.connect(server, "push.example.test");
		register(server, "romeo", { "phone" });
		message.to = "romeo@example.test";
		client.connect(server, "juliet", { resource = "balcony" }):message(message);
		local found, log = summary(app), server:log();
		server:stop();
		return found, log;
	end

	it("push_notification_with_body sends the text", function ()
		local options = { push_notification_with_body = true };
		assert.same(pinged { ["last-message-body"] = "Romeo & <Juliet> 💘" }, (with(options, { body = "Romeo & <Juliet> 💘" })));
		assert.same(pinged { ["last-message-body"] = "New Message!" }, (with(options, { call() })));
		assert.same(pinged(), (with(options, { st.stanza("received", { xmlns = "urn:xmpp:receipts" }) })));
	end);

	it("push_notification_with_sender sends the sender's JID", function ()
		assert.same(pinged { ["last-message-body"] = "New Message!", ["last-message-sender"] = "juliet@example.test/balcony" },
			(with({ push_notification_with_sender = true }, { body = "Romeo?" })));
	end);

	it("push_notification_important_body replaces the text, or omits it if empty", function ()
		assert.same(pinged { ["last-message-body"] = "Neu!" }, (with({ push_notification_important_body = "Neu!" }, { body = "Romeo?" })));
		assert.same(pinged(), (with({ push_notification_important_body = "" }, { body = "Romeo?" })));
	end);

	it("with an invalid value is logged with the value that is used instead", function ()
		local found, log = with({
			push_notification_with_body = "perhaps"; push_notification_with_sender = {}; push_max_devices = "many"; push_max_errors = -1;
			push_notification_important_body = { text = "x" };
		}, { body = "Romeo?" });
		assert.same(pinged { ["last-message-body"] = "New Message!" }, found);
		for _, sentence in ipairs({
			'push_notification_with_body is "perhaps", not true or false: using false instead';
			'push_notification_with_sender is a table, not true or false: using false instead';
			'push_max_devices is "many", not a whole number from 1 up: using 5 instead';
			'push_max_errors is -1, not a whole number from 1 up: using 16 instead';
			'push_notification_important_body is a table, not text without control characters: using "New Message!" instead';
		}) do
			assert.truthy(log:find("warn\tOption "..sentence, 1, true), sentence);
		end
	end);
end);

describe("a pubsub component on the same server", function ()
	it("accepts the publish, which has a namespace on every element", function ()
		local server = start { components = { ["pubsub.example.test"] = "pubsub" } };
		server:eval([[
			local pubsub = module:context("pubsub.example.test");
			local service = prosody.hosts["pubsub.example.test"].modules.pubsub.service;
			assert(service:create("n", true, { publish_model = "open", persist_items = true, max_items = 10 }));
			module:hook("iq/host", function (event)
				if event.stanza.attr.from == "pubsub.example.test" then prosody.last_answer = event.stanza.attr.type; end
			end, 1000);
			pubsub:hook("iq/host", function (event)
				local found = {};
				local function walk(element)
					found[#found + 1] = element.name .. " " .. tostring(element.attr.xmlns);
					for _, child in ipairs(element.tags) do walk(child); end
				end
				walk(event.stanza);
				prosody.last_names = found;
			end, 1000);
		]]);
		local phone = client.connect(server, "romeo");
		phone:enable_push({ jid = "pubsub.example.test", node = "n" });
		phone:close();
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		assert.equal("result", server:eval("return prosody.last_answer"));
		local ps, push, x = "http://jabber.org/protocol/pubsub", "urn:xmpp:push:0", "jabber:x:data";
		assert.same({
			"iq nil", "pubsub "..ps, "publish "..ps, "item "..ps, "notification "..push, "x "..x, "field "..x, "value "..x,
			"field "..x, "value "..x, "field "..x, "value "..x,
		}, server:eval("return prosody.last_names"));
		assert.equal("urn:xmpp:push:0", server:eval([[
			local service = prosody.hosts["pubsub.example.test"].modules.pubsub.service;
			local ok, items = service:get_items("n", true);
			return items[items[1] ].tags[1].attr.xmlns;
		]]));
		server:stop();
	end);
end);

describe("publish options", function ()
	it("are sent unchanged", function ()
		local server = start {};
		local app = appserver.connect(server, "push.example.test");
		local form = st.stanza("x", { xmlns = "jabber:x:data", type = "form" })
			:tag("field", { var = "zz", type = "hidden" }):text_tag("value", "1"):text_tag("value", ""):up()
			:tag("field", { var = "aa", label = "<&'\">", ["xml:space"] = "preserve", ["xml:base"] = "http://example.test/", ["xml:id"] = "f" })
				:text_tag("value", "&amp; 💘"):up()
			:tag("title"):text("t"):up()
			:tag("odd", { xmlns = "urn:example:odd" }):text("mixed"):tag("more"):up():text("text"):reset();
		local phone = client.connect(server, "romeo");
		phone:enable_push({ jid = app.jid, node = "n", options = form });
		phone:close();
		server:restart();
		app = appserver.connect(server, "push.example.test");
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		local options = app:expect(1):get_child("pubsub", "http://jabber.org/protocol/pubsub"):get_child("publish-options");
		local function plain(element)
			local children = {};
			for i, child in ipairs(element) do children[i] = type(child) == "string" and child or plain(child); end
			return { element.name, element.attr, children };
		end
		form:maptags(function (tag) tag.attr.xmlns = tag.attr.xmlns or "jabber:x:data"; return tag; end);
		for _, field in ipairs(form.tags) do
			field:maptags(function (tag) tag.attr.xmlns = tag.attr.xmlns or field.attr.xmlns; return tag; end);
		end
		assert.same(plain(form), plain(options.tags[1]));
		server:stop();
	end);
end);

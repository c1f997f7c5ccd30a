-- Accounts and their devices (rules.md §4): which accounts get pushes, and which registrations belong to which client.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local registered = require "spec.support.registered";
local stream = require "spec.support.stream";
local tigase = require "spec.support.tigase";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local version = os.getenv("PROSODY");
local is_13 = version:sub(1, 2) == "13";
local PUSH, PUSH2, BARE = "push.example.test", "push2.example.test", "romeo@example.test";

local server, app, app2, juliet;

local function connect()
	app, app2 = appserver.connect(server, PUSH), appserver.connect(server, PUSH2);
	juliet = client.connect(server, "juliet");
end

local function start(opts)
	opts = opts or {};
	opts.version, opts.module, opts.enable = version, "ours", opts.enable or { "push2" };
	server = prosody.start(opts);
	connect();
end

local function stop() server:stop(); end

local function enable_push2(session, name)
	return session:iq(push2.iq(push2.enable { service = PUSH2, client = name or "c", push2.match("important") }));
end

local function register(session, node)
	assert.equal("result", session:enable_push({ jid = PUSH, node = node }).attr.type);
	assert.equal("result", enable_push2(session, node).attr.type);
end

local function write(text, ...)
	juliet:message { to = BARE, body = text, ... };
end

-- Returns the nodes and the clients that were pushed, sorted.
local function woken()
	app:settled();
	app2:settled();
	local found = {};
	for _, push in ipairs(app.pushes) do found[#found + 1] = appserver.read(push).node; end
	for _, push in ipairs(app2.pushes) do found[#found + 1] = push2.read(push).client.."2"; end
	app.pushes, app2.pushes = {}, {};
	table.sort(found);
	return found;
end

local function stored()
	return {
		registered.identifiers(server:stored("romeo")), registered.identifiers(server:stored("romeo", "push2_registrations")),
	};
end

-- Returns the type and the condition of an error.
local function refused(reply)
	local kind, condition = reply:get_error();
	return { kind, condition };
end

if is_13 then
	describe("a disabled account", function ()
		local sleeper;
		local function disable() assert(server:eval([[return require "core.usermanager".disable_user("romeo", module.host)]])); end
		local function enable() assert(server:eval([[return require "core.usermanager".enable_user("romeo", module.host)]])); end

		before_each(function ()
			start { options = { authentication = "internal_hashed" }, enable = { "push2", "admin_shell" } };
			local phone = client.connect(server, "romeo", { resource = "phone" });
			register(phone, "n");
			phone:close();
		end);
		after_each(stop);

		it("gets no push, explain says why, and its registrations work again when it is enabled", function ()
			write("Romeo?");
			assert.same({ "n", "n2" }, woken());
			local before = stored();
			disable();
			write("Romeo?");
			write(nil, st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }));
			server:ping("romeo");
			juliet:send(st.presence { type = "subscribe", to = BARE });
			juliet:sync();
			assert.same({}, woken());
			local text = server:prosodyctl("shell", "push", "explain", BARE);
			assert.matches("the account is disabled", text, 1, true);
			assert.same(before, stored());
			enable();
			write("Romeo?");
			assert.same({ "n", "n2" }, woken());
			assert.same(before, stored());
		end);

		it("gets no push for what its sessions leave when they end", function ()
			sleeper = client.connect(server, "romeo", { resource = "sleeper", smacks = true });
			register(sleeper, "m");
			sleeper:acked();
			sleeper:stall();
			write("Romeo?");
			assert.same({ "n", "n2" }, woken());
			disable();
			assert.same({}, woken());
		end);

		it("gets no push for an archived or a queued message", function ()
			sleeper = client.connect(server, "romeo", { resource = "sleeper", smacks = true });
			register(sleeper, "m");
			sleeper:acked();
			sleeper:sleep();
			woken();
			-- Reports an archived message, and one that is queued for a hibernating session.
			local function happens(id)
				server:eval([[
					local st = require "util.stanza";
					local id = ...;
					local function message(name)
						return st.message({ from = "juliet@example.test/x", to = "romeo@example.test", type = "chat", id = name..id }, "Romeo?");
					end
					module:fire_event("archive-message-added", { origin = { username = "juliet", host = module.host }, stanza = message("a"),
						for_user = "romeo", id = "a"..id });
					local session = { username = "romeo", host = module.host, resource = "sleeper", full_jid = "romeo@example.test/sleeper",
						push_identifier = "push.example.test<m", push_registration_id = "sleeper", hibernating = os.time(),
						log = function () end };
					module:fire_event("smacks-hibernation-stanza-queued", { origin = session, queue = {}, stanza = message("q") });
					prosody.spec_left = false;
					module:add_timer(1.1, function () prosody.spec_left = true; end);
				]], id);
				net.wait(function () return server:eval("return prosody.spec_left"); end, "the end of a batch");
				return woken();
			end
			assert.same({ "m", "m2", "n", "n2" }, happens("1"));
			-- Prosody ends the sessions. Here the user seems to have one still.
			server:eval([[
				local user = prosody.hosts[module.host].sessions.romeo;
				require "core.usermanager".disable_user("romeo", module.host);
				prosody.hosts[module.host].sessions.romeo = user;
			]]);
			assert.same({}, happens("2"));
			server:eval("prosody.hosts[module.host].sessions.romeo = nil");
		end);

		it("gets no push after a restart, and gets pushes once it is enabled", function ()
			local before = stored();
			disable();
			server:restart();
			connect();
			write("Romeo?");
			assert.same({}, woken());
			enable();
			write("Romeo?");
			assert.same({ "n", "n2" }, woken());
			assert.same(before, stored());
		end);

		it("gets pushes when it is enabled after a restart and before any message", function ()
			disable();
			server:restart();
			connect();
			enable();
			write("Romeo?");
			assert.same({ "n", "n2" }, woken());
		end);
	end);

	describe("the revocation of a client's access", function ()
		setup(function () start { options = { authentication = "internal_hashed" } }; end);
		teardown(stop);

		local function grants()
			return server:eval([[
				local tokenauth = require "core.modulemanager".get_module(module.host, "tokenauth");
				local grant = assert(tokenauth.create_grant("romeo@example.test", "romeo@example.test"));
				return grant.id, assert(tokenauth.create_token("romeo@example.test", grant, "prosody:registered", nil, "oauth2"));
			]]);
		end

		-- RFC 7628
		local function login(token, resource)
			local self = setmetatable({ stanzas = {}, handled = 0, server = server, user = "romeo", resource = resource }, getmetatable(juliet));
			self.stream = stream.connect {
				port = server.c2s_port; default_ns = "jabber:client"; to = server.host;
				on_stanza = function (stanza) self:handle(stanza); end;
			};
			self:arrives("features");
			self.stream:send(st.stanza("auth", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl", mechanism = "OAUTHBEARER" })
				:text(base64("n,,\1auth=Bearer "..token.."\1\1")));
			self:arrives("success");
			self.stream:open();
			self:arrives("features");
			self.jid = self:iq(st.stanza("iq", { type = "set" }):tag("bind", { xmlns = "urn:ietf:params:xml:ns:xmpp-bind" })
				:text_tag("resource", resource)):get_child("bind", "urn:ietf:params:xml:ns:xmpp-bind"):get_child_text("jid");
			self:send(st.presence());
			self:sync();
			return self;
		end

		local function revoke(id)
			assert(server:eval([[
				return (require "core.modulemanager".get_module(module.host, "tokenauth").revoke_grant("romeo", ...));
			]], id));
		end

		it("ends the registrations of this client and no others", function ()
			local first, token = grants();
			local second, other_token = grants();
			assert.not_equal(first, second);
			local phone, tablet = login(token, "phone"), login(other_token, "tablet");
			local laptop = client.connect(server, "romeo", { resource = "laptop" });
			register(phone, "phone");
			register(tablet, "tablet");
			register(laptop, "laptop");
			local all = { PUSH.."<laptop", PUSH.."<phone", PUSH.."<tablet" };
			assert.same({ all, { "laptop", "phone", "tablet" } }, stored());
			server:eval([[module:fire_event("token-grant-revoked", { id = "of somebody else", username = "romeo", host = module.host })]]);
			server:eval([[module:fire_event("token-grant-revoked", { id = ..., username = "juliet", host = module.host })]], first);
			assert.same({ all, { "laptop", "phone", "tablet" } }, stored());
			revoke(first);
			assert.same({ { PUSH.."<laptop", PUSH.."<tablet" }, { "laptop", "tablet" } }, stored());
			server:wait_log("Push registration removed: romeo, push.example.test<phone %(the access of its client was revoked%)");
			for _, session in ipairs({ phone, tablet, laptop }) do session:close(); end
			write("Romeo?");
			assert.same({ "laptop", "laptop2", "tablet", "tablet2" }, woken());
			-- The same after a restart.
			server:restart();
			connect();
			revoke(second);
			assert.same({ { PUSH.."<laptop" }, { "laptop" } }, stored());
		end);
	end);
end

describe("push_errors", function ()
	setup(function () start { options = { push_max_errors = 3 } }; end);
	teardown(stop);

	local function counted() return server:eval([[return module:shared("cloud_notify/push_errors")]]); end
	local function ping(answer)
		app.answer = answer;
		server:ping("romeo");
		app:settled();
	end

	it("has the refusals of a device in a row, and none after a success", function ()
		local phone = client.connect(server, "romeo");
		register(phone, "n");
		phone:close();
		assert.same({}, counted());
		ping { "cancel", "item-not-found" };
		assert.same({ [PUSH.."<n"] = 1 }, counted());
		ping { "wait", "resource-constraint" };
		assert.same({ [PUSH.."<n"] = 1 }, counted(), "a transport failure");
		ping { "cancel", "item-not-found" };
		assert.same({ [PUSH.."<n"] = 2 }, counted());
		ping "result";
		assert.same({}, counted());
	end);

	it("has none for a registration that has ended or was enabled again", function ()
		for _ = 1, 2 do ping { "cancel", "item-not-found" }; end
		local phone = client.connect(server, "romeo");
		register(phone, "n");
		assert.same({}, counted(), "enabled again");
		for _ = 1, 2 do ping { "cancel", "item-not-found" }; end
		phone:disable_push { jid = PUSH };
		assert.same({}, counted(), "disabled");
		register(phone, "n");
		phone:close();
		for _ = 1, 3 do ping { "cancel", "item-not-found" }; end
		assert.is_nil(server:stored("romeo"));
		assert.same({}, counted(), "ended");
	end);
end);

describe("a new token of the same client", function ()
	local phone;
	before_each(function ()
		start { options = { push_max_devices = 3 } };
		phone = client.connect(server, "romeo", { resource = "phone" });
	end);
	after_each(stop);

	local function enable(session, node) assert.equal("result", session:enable_push({ jid = PUSH, node = node }).attr.type); end

	-- Sets the user agent id of a session, as SASL2 does (XEP-0388 §2.4).
	local function is_client(session, id)
		server:eval("prosody.hosts[module.host].sessions.romeo.sessions[...].client_id = select(2, ...)", session.resource, id);
	end

	it("replaces its old one at once, if the client has an id", function ()
		is_client(phone, "ua-1");
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		is_client(tablet, "ua-2");
		enable(phone, "old");
		enable(tablet, "tablet");
		enable(phone, "new");
		assert.same({ PUSH.."<new", PUSH.."<tablet" }, stored()[1]);
		assert.same({ phone = PUSH.."<new", tablet = PUSH.."<tablet" }, registered.bound(server, "romeo"));
		-- The same client may also have a registration at another app server.
		phone:enable_push { jid = PUSH2, node = "other" };
		assert.same({ PUSH.."<new", PUSH.."<tablet", PUSH2.."<other" }, stored()[1]);
	end);

	it("replaces its old one by the resource when the limit is reached, before any other registration", function ()
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		enable(tablet, "tablet");
		enable(phone, "a");
		enable(phone, "b");
		assert.same({ PUSH.."<a", PUSH.."<b", PUSH.."<tablet" }, stored()[1], "there is room");
		enable(phone, "c");
		assert.same({ PUSH.."<b", PUSH.."<c", PUSH.."<tablet" }, stored()[1]);
		enable(client.connect(server, "romeo", { resource = "laptop" }), "d");
		assert.same({ PUSH.."<b", PUSH.."<c", PUSH.."<d" }, stored()[1], "of another client: the oldest goes");
	end);
end);

describe("the user's own account", function ()
	setup(function () start(); end);
	teardown(stop);

	it("is no app server", function ()
		local phone = client.connect(server, "romeo", { resource = "phone" });
		for _, jid in ipairs({ BARE, BARE.."/phone", BARE.."/other", "Romeo@Example.Test/x" }) do
			assert.same({ "modify", "bad-request" }, refused(phone:enable_push { jid = jid, node = "n" }), jid);
			assert.same({ "modify", "bad-request" }, refused(phone:iq(push2.iq(push2.enable { service = jid, push2.match("all") }))), jid);
		end
		assert.same({ {}, {} }, stored());
		assert.equal("result", phone:enable_push({ jid = "juliet@example.test", node = "n" }).attr.type, "a friend's may be");
	end);
end);

describe("a user who does not exist", function ()
	setup(function () start(); end);
	teardown(stop);

	it("causes no read of the store, and nothing is kept for this user", function ()
		server:eval([[
			local storagemanager = require "core.storagemanager";
			local open = storagemanager.open;
			prosody.spec_reads = {};
			storagemanager.open = function (host, name, kind)
				local store = open(host, name, kind);
				if name ~= "cloud_notify" and name ~= "push2_registrations" then return store; end
				return setmetatable({ get = function (_, user)
					table.insert(prosody.spec_reads, user);
					return store:get(user);
				end }, { __index = function (_, key)
					return function (_, ...) return store[key](store, ...); end
				end });
			end
		]]);
		server:reload();
		server:reload("push2");
		for _, to in ipairs({ "nobody@example.test", "nobody@example.test/phone" }) do
			for _, name in ipairs({ "propose", "retract", "proceed" }) do
				juliet:message { to = to, st.stanza(name, { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
			end
			juliet:message { to = to, body = "Hello?" };
			juliet:send(st.presence { type = "subscribe", to = to });
			juliet:send(st.message({ to = to, id = "d" }):tag("pubsub", { xmlns = "http://jabber.org/protocol/pubsub", node = "n" })
				:tag("affiliation", { jid = "nobody@example.test", affiliation = "none" }));
			juliet:sync();
		end
		app:settled();
		write("Romeo?");
		local is_read = {};
		for _, user in ipairs(server:eval("return prosody.spec_reads")) do is_read[user] = true; end
		assert.is_true(is_read.romeo);
		assert.is_nil(is_read.nobody);
	end);
end);

describe("a JID that only Prosody accepts", function ()
	local CAT, DOG = "🐱@"..PUSH, "🐶@"..PUSH;
	setup(function () start { enable = { "push2", "cloud_notify_extensions" } }; end);
	teardown(stop);

	local function says(room, text)
		app:send(st.message({ from = room.."/nick", to = BARE, type = "groupchat", id = text }, text));
		return woken();
	end

	it("of a room can be muted and filtered", function ()
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push { jid = PUSH, node = "muted", tigase.muted(CAT) };
		phone:enable_push { jid = PUSH, node = "ruled", tigase.rooms({ jid = CAT, allow = "never" }) };
		assert.equal("result", phone:iq(push2.iq(push2.enable { service = PUSH2, client = "c",
			push2.match("important", { filters = { { CAT } } }) })).attr.type);
		phone:close();
		assert.same({}, says(CAT, "meow"));
		assert.same({ "c2", "muted", "ruled" }, says(DOG, "woof"));
	end);

	it("of an app server is accepted", function ()
		local phone = client.connect(server, "romeo", { resource = "phone" });
		for _, jid in ipairs({ "😀.example", "push@😀.example/😀", "ß.example", "a_b.example", "1.2.3.4", "[::1]", "a..b", "a b" }) do
			local normal = server:eval("return (require 'util.jid'.prep(...))", jid);
			local expected = normal and "result" or "error";
			assert.equal(expected, phone:enable_push({ jid = jid, node = "n" }).attr.type, jid);
			assert.equal(expected, phone:iq(push2.iq(push2.enable { service = jid, push2.match("all") })).attr.type, jid);
			if normal then assert.is_truthy(server:stored("romeo")[normal.."<n"], jid); end
		end
		assert.is_truthy(server:eval("return (require 'util.jid'.prep('😀.example'))"), "Prosody takes the first");
	end);
end);

describe("a record that asks for encryption", function ()
	it("gets encrypted pushes, whether or not the extension is loaded", function ()
		start { enable = { "cloud_notify_extensions" } };
		local phone = client.connect(server, "romeo");
		phone:enable_push { jid = PUSH, node = "n", tigase.encrypt() };
		phone:close();
		write("a private word");
		assert.equal("a private word", (tigase.read(app:expect(1))).message);
		server.enable = { "push2" };
		server:restart({ push_notification_with_body = true, push_notification_with_sender = true });
		connect();
		assert.is_falsy(server:eval([[return require "core.modulemanager".is_loaded(module.host, "cloud_notify_encrypted")]]));
		write("another private word");
		app:settled();
		local push = app.pushes[1];
		assert.is_nil(tostring(push):find("private", 1, true));
		assert.is_nil(tostring(push):find("juliet", 1, true));
		assert.equal("another private word", (tigase.read(push)).message);
		stop();
	end);

	it("with an invalid key gets no push at all", function ()
		start();
		server:store("romeo", { [PUSH.."<n"] = { jid = PUSH, node = "n", timestamp = 1,
			encryption = { algorithm = "aes-128-gcm", key_base64 = "AAAA" } } });
		server:reload();
		write("a private word");
		assert.same({}, woken());
		server:wait_log("No push for romeo to push.example.test<n: the registration.s encryption key is not 16 bytes in base64");
		stop();
	end);
end);

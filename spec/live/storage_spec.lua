-- Stores of registrations that fail, that are slow, or that other servers use, too.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local registered = require "spec.support.registered";
local st = require "util.stanza";

local keys, bound = registered.identifiers, registered.bound;

local PUSH = "push.example.test";

local function start(opts)
	opts = opts or {};
	opts.version, opts.module = os.getenv("PROSODY"), "ours";
	return prosody.start(opts);
end

-- type and condition of an answer
local function err(reply)
	assert.equal("error", reply.attr.type, tostring(reply));
	return { (select(1, reply:get_error())), (select(2, reply:get_error())) };
end

describe("a store that fails", function ()
	local server, phone;
	setup(function ()
		server = start();
		phone = client.connect(server, "romeo");
		phone:enable_push({ jid = PUSH, node = "n" });
	end);
	teardown(function () server:stop(); end);

	for _, how in ipairs({ "the disk is full", "raise" }) do
		it("on read loses no registration ("..how..")", function ()
			faulty.store(server, "get", how);
			assert.same({ "wait", "internal-server-error" }, err(phone:enable_push({ jid = "push2.example.test", node = "m" })));
			assert.same({ "wait", "internal-server-error" }, err(phone:disable_push({ jid = PUSH })));
			faulty.store(server);
			assert.same({ PUSH.."<n" }, keys(server:stored("romeo")));
		end);

		it("on write changes nothing in memory, either ("..how..")", function ()
			faulty.store(server, "set", how);
			assert.same({ "wait", "internal-server-error" }, err(phone:enable_push({ jid = "push2.example.test", node = "m" })));
			assert.same({ "wait", "internal-server-error" }, err(phone:disable_push({ jid = PUSH })));
			assert.same({ romeo = PUSH.."<n" }, bound(server, "romeo"));
			local app, app2 = appserver.connect(server, PUSH), appserver.connect(server, "push2.example.test");
			server:ping("romeo");
			assert.same({ 1, 0 }, { app:settled(), app2:settled() });
			app:disconnect();
			app2:disconnect();
			faulty.store(server);
		end);
	end

	it("loses no message", function ()
		faulty.store(server, "get", "raise");
		phone:close();
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		faulty.store(server);
		phone = client.connect(server, "romeo");
		phone:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the stored message");
		assert.matches("the disk is on fire", server:log());
	end);
end);

describe("a user whose registrations cannot be read", function ()
	local server, app, juliet;
	before_each(function ()
		server = start { options = { push_notification_important_body = "New Message!", push_wake_on_start = true } };
		app = appserver.connect(server, PUSH);
		juliet = client.connect(server, "juliet");
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push({ jid = PUSH, node = "n" });
		phone:close();
		phone:gone();
	end);
	after_each(function () server:stop(); end);

	local function write(body, ...)
		juliet:message { to = "romeo@example.test", body = body, ... };
		juliet:sync();
	end

	local function is_important(push)
		return appserver.read(push).summary["last-message-body"] ~= nil;
	end

	-- Returns what was decided for romeo last.
	local function decision()
		return server:eval([[
			local newest = module:shared("/*/prosody_push/protocols")[module.host.."/cloud_notify"].decisions("romeo")[1];
			return newest and newest.text;
		]]);
	end

	local receipt = st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m1" });

	for _, how in ipairs({ "the disk is full", "raise" }) do
		it("is woken once when they can be, for all that came meanwhile ("..how..")", function ()
			faulty.clock(server);
			faulty.store(server, "get", how);
			for i = 1, 3 do write("Romeo "..i); end
			write(nil, receipt);
			assert.equal(0, app:settled());
			assert.is_nil(decision());
			faulty.store_works(server, true);
			assert.is_true(is_important(app:expect(1)));
			assert.equal(1, app:settled());
			assert.matches("^push %(the registrations could not be read before%): sent, taken", decision());
			write("Here again?");
			app:expect(2);
			assert.equal(2, app:settled());
		end);
	end

	it("is woken silently if nothing else came, also after a reload", function ()
		faulty.store(server, "get", "raise");
		write(nil, receipt);
		assert.equal(0, app:settled());
		faulty.clock(server);
		assert.equal(0, app:settled());
		faulty.store(server);
		assert.is_false(is_important(app:expect(1)));
		assert.equal(1, app:settled());
	end);

	it("is not woken if what came wakes no device", function ()
		faulty.clock(server);
		faulty.store(server, "get", "raise");
		write(nil, st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }));
		faulty.store_works(server, true);
		write("Romeo?");
		assert.is_true(is_important(app:expect(1)));
		assert.equal(1, app:settled());
	end);

	it("is woken by push_wake_on_start once it can list its users", function ()
		faulty.clock(server);
		server:eval("prosody.spec_start, prosody.start_time = prosody.start_time, nil");
		faulty.store(server, "users", "raise");
		server:eval("prosody.start_time = prosody.spec_start; prosody.events.fire_event('server-started')");
		assert.equal(0, app:settled());
		faulty.store_works(server, true);
		assert.is_false(is_important(app:expect(1)));
		assert.equal(1, app:settled());
		assert.matches("^ping %(the server has started%): sent, taken", decision());
	end);

	it("is owed the push if another module sees each", function ()
		faulty.clock(server);
		faulty.store(server, "get", "raise");
		faulty.store_works(server, true);
		server:ping("romeo");
		app:expect(1);
		server:eval("module:hook('cloud_notify/push', function (event) prosody.seen = event.push_info.node; end)");
		faulty.store_works(server, false);
		write("Romeo?");
		assert.equal(1, app:settled());
		assert.matches("owed: its registration cannot be read now", decision(), 1, true);
		faulty.ahead(server, 5);
		net.wait(function () return select(2, server:log():gsub("is owed and sent again", "")) == 1; end, "another try");
		assert.equal(1, app:settled());
		faulty.store_works(server, true);
		faulty.ahead(server, 15);
		assert.is_true(is_important(app:expect(2)));
		assert.equal("n", server:eval("return prosody.seen"));
		assert.equal(2, app:settled());
	end);
end);

describe("a slow store", function ()
	local server, app;
	before_each(function ()
		server = start { options = { push_max_errors = 1 } };
		app = appserver.connect(server, PUSH);
		faulty.slow_store(server);
	end);
	after_each(function () server:stop(); end);

	local function pauses(list)
		server:eval("prosody.pauses = ...", list);
	end

	local function enabling(node)
		return st.stanza("iq", { type = "set", id = node }):tag("enable", { xmlns = "urn:xmpp:push:0", jid = PUSH, node = node }):reset();
	end

	local function enabled(session, node)
		assert.equal("result", session:expect(function (stanza) return stanza.attr.id == node; end, "the answer").attr.type);
	end

	it("keeps all registrations that are enabled at the same time", function ()
		local sessions = {};
		for i = 1, 4 do sessions[i] = client.connect(server, "romeo", { resource = "r"..i }); end
		for i = 1, 4 do sessions[i]:send(enabling("n"..i)); end
		for i = 1, 4 do enabled(sessions[i], "n"..i); end
		assert.same({ PUSH.."<n1", PUSH.."<n2", PUSH.."<n3", PUSH.."<n4" }, keys(server:stored("romeo")));
		assert.same({ r1 = PUSH.."<n1", r2 = PUSH.."<n2", r3 = PUSH.."<n3", r4 = PUSH.."<n4" }, bound(server, "romeo"));
		server:ping("romeo");
		assert.equal(4, app:settled());
		assert.not_matches("A fault in", server:log());
	end);

	it("does not replace newer registrations in memory by older ones", function ()
		local romeo, juliet = client.connect(server, "romeo"), client.connect(server, "juliet");
		romeo:send(enabling("first"));
		enabled(romeo, "first");
		server:reload();
		-- The read for the message returns late.
		pauses { 0.3 };
		juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m" }, "Romeo?"));
		net.wait(function () return server:eval("return #prosody.pauses") == 0; end, "the reading for the message");
		romeo:send(enabling("second"));
		enabled(romeo, "second");
		romeo:expect(function (stanza) return stanza.attr.id == "m"; end, "the message");
		local before = app:settled();
		server:ping("romeo");
		assert.equal(before + 2, app:settled());
	end);

	it("loses no registration when an app server ends another one meanwhile", function ()
		local romeo = client.connect(server, "romeo");
		romeo:send(enabling("first"));
		enabled(romeo, "first");
		app.answer = { "cancel", "item-not-found" };
		pauses { 0.3 };
		server:ping("romeo");
		app:expect(1);
		net.wait(function () return server:eval("return #prosody.pauses") == 0; end, "the end of the first");
		romeo:send(enabling("second"));
		enabled(romeo, "second");
		assert.same({ PUSH.."<second" }, keys(server:stored("romeo")));
		assert.not_matches("A fault in", server:log());
	end);
end);

if os.getenv("STORAGE") == "postgresql" then
	local postgresql = require "spec.support.postgresql";

	describe("a database that serves two servers", function ()
		it("keeps their users apart", function ()
			local one = start();
			local other = start { host = "other.test", sql = one.sql };
			local app, other_app = appserver.connect(one, PUSH), appserver.connect(other, PUSH);
			local romeo, other_romeo = client.connect(one, "romeo"), client.connect(other, "romeo");
			for i = 1, 3 do
				romeo:enable_push({ jid = PUSH, node = "one-"..i });
				other_romeo:enable_push({ jid = PUSH, node = "other-"..i });
			end
			romeo:disable_push({ jid = PUSH, node = "one-1" });
			assert.same({ PUSH.."<one-2", PUSH.."<one-3" }, keys(one:stored("romeo")));
			assert.same({ PUSH.."<other-1", PUSH.."<other-2", PUSH.."<other-3" }, keys(other:stored("romeo")));
			one:ping("romeo");
			other:ping("romeo");
			assert.same({ 2, 3 }, { app:settled(), other_app:settled() });
			one:eval("assert(require 'core.usermanager'.delete_user('romeo', module.host))");
			assert.is_nil(one:stored("romeo"));
			assert.equal(3, #keys(other:stored("romeo")));
			one:stop();
			other:stop();
		end);
	end);

	describe("a database that goes away", function ()
		it("and comes back has all acknowledged registrations, and requests meanwhile were refused", function ()
			local server = start();
			local app = appserver.connect(server, PUSH);
			local romeo = client.connect(server, "romeo");
			romeo:enable_push({ jid = PUSH, node = "before" });
			postgresql.stop();
			assert.same({ "wait", "internal-server-error" }, err(romeo:enable_push({ jid = PUSH, node = "meanwhile" })));
			assert.same({ "wait", "internal-server-error" }, err(romeo:disable_push({ jid = PUSH })));
			server:ping("romeo");
			assert.equal("before", appserver.read(app:expect(1)).node);
			postgresql.start();
			net.wait(function () return romeo:enable_push({ jid = PUSH, node = "after" }).attr.type == "result"; end, "the database");
			assert.same({ PUSH.."<after", PUSH.."<before" }, keys(server:stored("romeo")));
			server:ping("romeo");
			assert.equal(3, app:settled());
			server:stop();
		end);
	end);
end

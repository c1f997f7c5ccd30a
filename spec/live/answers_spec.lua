-- The effects of app servers' answers, and stanzas that only look like answers.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local registered = require "spec.support.registered";
local st = require "util.stanza";

local identifiers, bound = registered.identifiers, registered.bound;

local PUSH = "push.example.test";

local function start(options, s2s)
	local server = prosody.start { version = os.getenv("PROSODY"), module = "ours", options = options, s2s = s2s };
	return server, appserver.connect(server, PUSH);
end

describe("an app server that refuses", function ()
	it("push_max_errors times in a row ends the registration, also in every session", function ()
		local server, app = start { push_max_errors = 3 };
		local phone = client.connect(server, "romeo", { resource = "phone" });
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		for _, session in ipairs({ phone, tablet }) do session:enable_push({ jid = PUSH, node = "n" }); end
		phone:enable_push({ jid = PUSH, node = "other" });
		phone:enable_push({ jid = PUSH, node = "n" });
		app.answer = function (iq)
			app:send(appserver.read(iq).node == "n" and st.error_reply(iq, "cancel", "item-not-found", "gone") or st.reply(iq));
		end;
		for round = 1, 2 do
			server:ping("romeo");
			assert.equal(2 * round, app:settled());
			assert.same({ "push.example.test<n", "push.example.test<other" }, identifiers(server:stored("romeo")));
		end
		server:ping("romeo");
		assert.equal(6, app:settled());
		assert.same({ "push.example.test<other" }, identifiers(server:stored("romeo")));
		assert.same({ phone = "none", tablet = "none" }, bound(server, "romeo"));
		server:wait_log("info\tPush registration removed: romeo, push.example.test<n %(it refused 3 pushes in a row, "
			.."the last with cancel/item%-not%-found: gone%)");
		server:ping("romeo");
		assert.equal(7, app:settled());
		server:stop();
	end);

	it("and then accepts starts the count again", function ()
		local server, app = start { push_max_errors = 2 };
		client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
		for i = 1, 6 do
			app.answer = i % 2 == 1 and { "cancel", "item-not-found" } or "result";
			server:ping("romeo");
			assert.equal(i, app:settled());
		end
		assert.same({ "push.example.test<n" }, identifiers(server:stored("romeo")));
		server:stop();
	end);

	it("for one user has no effect on another user or another app server", function ()
		local server, app = start { push_max_errors = 2 };
		local app2 = appserver.connect(server, "push2.example.test");
		local romeo, juliet = client.connect(server, "romeo"), client.connect(server, "juliet");
		for _, user in ipairs({ romeo, juliet }) do user:enable_push({ jid = PUSH, node = "n" }); end
		romeo:enable_push({ jid = app2.jid, node = "n" });
		app.answer = { "cancel", "item-not-found" };
		server:ping("romeo");
		server:ping("juliet");
		app:settled();
		app2:settled();
		assert.same({ "push.example.test<n", "push2.example.test<n" }, identifiers(server:stored("romeo")));
		assert.same({ "push.example.test<n" }, identifiers(server:stored("juliet")));
		server:stop();
	end);
end);

describe("a transport failure", function ()
	it("ends no registration", function ()
		local server, app = start({ push_max_errors = 2 }, true);
		client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
		-- No server listens there.
		client.connect(server, "juliet"):enable_push({ jid = "127.0.0.1", node = "n" });
		for _, condition in ipairs({ "remote-server-not-found", "internal-server-error", "resource-constraint" }) do
			app.answer = { "cancel", condition };
			for _ = 1, 3 do server:ping("romeo"); end
			app:settled();
		end
		app.answer = { "wait", "policy-violation" };
		for _ = 1, 3 do server:ping("romeo"); end
		app:settled();
		app:disconnect();
		for _ = 1, 3 do server:ping("romeo"); end
		for _ = 1, 3 do
			local _, before = server:log():gsub("Push for juliet to 127.0.0.1<n failed on its way", "");
			server:ping("juliet");
			net.wait(function ()
				local _, after = server:log():gsub("Push for juliet to 127.0.0.1<n failed on its way", "");
				return after > before;
			end, "the bounce of a push", 30);
		end
		assert.same({ "127.0.0.1<n" }, identifiers(server:stored("juliet")));
		assert.same({ "push.example.test<n" }, identifiers(server:stored("romeo")));
		server:wait_log("failed on its way %(%a+/remote%-server%-timeout, [^\n]*%)");
		server:stop();
	end);
end);

describe("an answer", function ()
	local server, app;
	before_each(function ()
		server, app = start { push_max_errors = 1 };
		client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
		app.answer = "none";
		server:ping("romeo");
		app:expect(1);
	end);
	after_each(function () server:stop(); end);

	it("from a stranger does not count", function ()
		local stranger = appserver.connect(server, "push2.example.test");
		local id = app.pushes[1].attr.id;
		for _, kind in ipairs({ "error", "result" }) do
			stranger:send(st.stanza("iq", { type = kind, id = id, from = stranger.jid, to = "example.test" })
				:tag("error", { type = "cancel" }):tag("item-not-found", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):reset());
		end
		stranger:settled();
		assert.same({ "push.example.test<n" }, identifiers(server:stored("romeo")));
		app:send(st.error_reply(app.pushes[1], "cancel", "item-not-found"));
		app:settled();
		assert.same({}, identifiers(server:stored("romeo")));
	end);

	it("counts once, even if it comes several times", function ()
		app:send(st.reply(app.pushes[1]));
		for _ = 1, 3 do app:send(st.error_reply(app.pushes[1], "cancel", "item-not-found")); end
		app:settled();
		assert.same({ "push.example.test<n" }, identifiers(server:stored("romeo")));
	end);

	it("with an unknown id, or malformed, has no effect", function ()
		app:send(st.error_reply(st.iq({ type = "set", id = "unknown", from = "example.test", to = PUSH }), "cancel", "item-not-found"));
		app:send(st.stanza("iq", { type = "error", id = app.pushes[1].attr.id, from = PUSH, to = "example.test" }));
		app:settled();
		assert.not_matches("A fault in", server:log());
		assert.not_matches("Traceback", server:log());
	end);

	it("after the end of the registration changes nothing and causes no fault", function ()
		local phone = client.connect(server, "romeo", { resource = "other" });
		phone:disable_push({ jid = PUSH });
		app:send(st.error_reply(app.pushes[1], "cancel", "item-not-found"));
		app:settled();
		assert.is_nil(server:stored("romeo"));
		assert.not_matches("traceback", server:log():lower());
	end);

	it("reaches the module after a reload", function ()
		server:reload();
		app:send(st.error_reply(app.pushes[1], "cancel", "item-not-found"));
		app:settled();
		assert.same({}, identifiers(server:stored("romeo")));
		assert.not_matches("traceback", server:log():lower());
	end);
end);

describe("failures", function ()
	it("are remembered over a reload", function ()
		local server, app = start { push_max_errors = 2 };
		client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
		app.answer = { "cancel", "item-not-found" };
		for i = 1, 2 do
			assert.same({ "push.example.test<n" }, identifiers(server:stored("romeo")));
			server:ping("romeo");
			assert.equal(i, app:settled());
			server:reload();
		end
		assert.same({}, identifiers(server:stored("romeo")));
		server:stop();
	end);
end);

describe("a missing answer", function ()
	it("is not waited for longer than the timeout", function ()
		local server, app = start {};
		client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
		app.answer = "none";
		faulty.clock(server);
		server:ping("romeo");
		app:expect(1);
		faulty.ahead(server, 121);
		server:wait_log("failed on its way %(wait/remote%-server%-timeout, no answer%)");
		app:send(st.error_reply(app.pushes[1], "cancel", "item-not-found"));
		app:settled();
		assert.not_matches("item%-not%-found[^\n]*in a row", server:log());
		server:stop();
	end);
end);

describe("a remote disable", function ()
	local server, app, romeo;
	before_each(function ()
		server, app = start();
		romeo = client.connect(server, "romeo");
		romeo:enable_push({ jid = PUSH, node = "n" });
	end);
	after_each(function () server:stop(); end);

	local function disable(from, node, jid, affiliation)
		from:send(st.message({ from = from.jid, to = "romeo@example.test", id = "d" })
			:tag("pubsub", { xmlns = "http://jabber.org/protocol/pubsub", node = node })
			:tag("affiliation", { jid = jid or "romeo@example.test", affiliation = affiliation or "none" }):reset());
		from:settled();
	end

	it("from the app server ends the registration", function ()
		disable(app, "n");
		assert.is_nil(server:stored("romeo"));
		assert.same({ romeo = "none" }, bound(server, "romeo"));
		romeo:sync();
		assert.is_nil(romeo:received(function (stanza) return stanza.attr.id == "d"; end), "it is not for the client");
	end);

	it("from another sender, for another node or account, or of another kind is an ordinary message", function ()
		local stranger = appserver.connect(server, "push2.example.test");
		for _, case in ipairs({ { stranger, "n" }, { app, "m" }, { app }, { app, "n", "juliet@example.test" }, { app, "n", nil, "member" } }) do
			disable(table.unpack(case, 1, 4));
			assert.same({ "push.example.test<n" }, identifiers(server:stored("romeo")));
			romeo:expect(function (stanza) return stanza.attr.id == "d"; end, "the message");
		end
	end);
end);

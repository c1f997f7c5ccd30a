-- App servers on Debian's ejabberd, over TLS: an external component, and nodes of its pubsub service.
local federation = require "spec.support.federation";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local ejabberd = require "spec.support.ejabberd";
local net = require "spec.support.net";
local publish = require "spec.support.publish";
local st = require "util.stanza";

local VERSION = os.getenv("PROSODY");
local PUSH, PUBSUB = ejabberd.names.component, ejabberd.names.pubsub;
local OWNER = publish.xmlns_pubsub.."#owner";

local home, away, app, juliet, phone, begun;

local function start(trust)
	home, away = federation.start { version = VERSION, trust = trust, ejabberd = true,
		options = { push_max_errors = 2, push_notification_with_body = true } };
	app = appserver.connect(away, PUSH);
	juliet = client.connect(home, "juliet");
end

local function sleeps(jid, fields)
	phone = federation.sleeps(home, jid, fields);
end

local function write(body)
	juliet:message { to = "romeo@example.test", body = body };
end

local function answered()
	federation.answered(home);
end

local function wakes()
	phone = client.resume(home, "romeo", phone);
	phone:acked();
end

local function restarts()
	away:restart();
	app = appserver.connect(away, PUSH);
end

-- What the component asks of the pubsub service, and the answer. `xmlns` is the namespace of <pubsub/>.
local function ask(kind, xmlns, ...)
	local iq = st.iq({ type = kind, id = tostring(net.now()), from = PUSH, to = PUBSUB }):tag("pubsub", { xmlns = xmlns });
	for _, child in ipairs({ ... }) do iq:add_child(child); end
	app:send(iq:reset());
	return net.wait(function ()
		for i, stanza in ipairs(app.others) do
			if stanza.attr.id == iq.attr.id and stanza.attr.from == PUBSUB then return table.remove(app.others, i); end
		end
	end, "the answer of "..PUBSUB);
end

local function does(...)
	local answer = ask("set", ...);
	assert.equal("result", answer.attr.type, tostring(answer));
end

-- A node of the component, which hears of its items.
local function create(config)
	local form = st.stanza("x", { xmlns = publish.xmlns_form, type = "submit" });
	publish.set(form, "FORM_TYPE", publish.xmlns_pubsub.."#node_config");
	for name, value in pairs(config) do publish.set(form, "pubsub#"..name, value); end
	does(publish.xmlns_pubsub, st.stanza("create", { node = "n" }), st.stanza("configure"):add_child(form));
	does(publish.xmlns_pubsub, st.stanza("subscribe", { node = "n", jid = PUSH }));
end

local function affiliate(affiliation)
	does(OWNER, st.stanza("affiliations", { node = "n" }):tag("affiliation", { jid = home.host, affiliation = affiliation }):reset());
end

local function delete()
	return ask("set", OWNER, st.stanza("delete", { node = "n" }));
end

local function items()
	return ask("get", publish.xmlns_pubsub, st.stanza("items", { node = "n" })).tags[1].tags[1].tags;
end

-- Waits for the n-th item that the component is told of, and returns its text.
local function told_of(n)
	local found;
	net.wait(function ()
		found = {};
		for _, stanza in ipairs(app.others) do
			local event = stanza:get_child("event", publish.xmlns_pubsub.."#event");
			local list = event and event:get_child("items");
			if list then table.insert(found, list:find("item/{urn:xmpp:push:0}notification/{jabber:x:data}x")); end
		end
		return #found >= n;
	end, "the event of item "..n);
	assert.equal(n, #found);
	return publish.value(found[n], "last-message-body");
end

-- The other server took every push of this spec at once.
local function all_taken()
	answered();
	local log = home:log():sub(begun);
	assert.not_matches("failed on its way", log, 1, true);
	assert.not_matches("was refused", log, 1, true);
end

-- Pushes until the registration ends.
local function is_refused(how)
	for n = 1, 2 do
		assert.is_not_nil(home:stored("romeo"), "ended after "..n - 1);
		home:ping("romeo");
		answered();
	end
	assert.matches("it refused 2 pushes in a row, the last with "..how, home:log():sub(begun), 1, true);
	assert.is_nil(home:stored("romeo"));
end

-- The next spec finds neither registrations nor nodes nor old pushes.
local function leaves()
	phone = client.connect(home, "romeo", { resource = "phone" });
	for _, jid in ipairs({ PUSH, PUBSUB }) do phone:disable_push { jid = jid }; end
	phone:close();
	phone:gone();
	delete();
	app.pushes, app.others, app.answer = {}, {}, "result";
end

describe("trusted by certificates,", function ()
	setup(function () start "certificates"; end);
	before_each(function () begun = #home:log(); end);
	after_each(leaves);
	teardown(function () federation.stop(home, away); end);

	describe("an app server on ejabberd", function ()
		it("wakes a phone once, and its refusals end the registration", function ()
			sleeps(PUSH, { options = { secret = "s" } });
			write("Romeo?");
			local push = appserver.read(app:expect(1));
			assert.same({ "n", "Romeo?", "s" }, { push.node, push.summary["last-message-body"], push.options.secret });
			answered();
			assert.is_true(federation.stream(home, PUSH, "secure"));
			assert.equal("valid", federation.stream(home, PUSH, "cert_identity_status"));
			wakes();
			assert.equal(1, #app.pushes);
			app.answer = { "cancel", "item-not-found" };
			is_refused("cancel/item-not-found");
			assert.equal(3, #app.pushes);
		end);

		it("that leaves ejabberd and comes back gets what was owed meanwhile", function ()
			sleeps(PUSH);
			write("Romeo?");
			app:expect(1);
			answered();
			wakes();
			phone:sleep();
			app:disconnect();
			for _ = 1, 3 do
				home:ping("romeo");
				answered();
			end
			app = appserver.connect(away, PUSH);
			app:expect(1);
			answered();
			assert.equal(1, #app.pushes);
		end);

		it("that takes the smallest stanzas takes the largest push", function ()
			local largest;
			phone = client.connect(home, "romeo", { resource = "phone", smacks = true });
			for bytes = 12000, 1000, -500 do
				largest = { jid = PUSH, node = "n", options = { secret = ("s"):rep(bytes) } };
				if phone:enable_push(largest).attr.type == "result" then break; end
			end
			phone:acked();
			phone:sleep();
			write(("Romeo? "):rep(1000));
			local push = app:expect(1);
			assert.equal(largest.options.secret, appserver.read(push).options.secret);
			assert.is_true(#tostring(push) > 5000);
			all_taken();
		end);
	end);

	describe("a node of ejabberd's pubsub", function ()
		it("to which everybody may publish has each push, once", function ()
			create { publish_model = "open" };
			sleeps(PUBSUB);
			write("Romeo?");
			assert.equal("Romeo?", told_of(1));
			answered();
			wakes();
			phone:sleep();
			write("Wherefore?");
			assert.equal("Wherefore?", told_of(2));
			all_taken();
			assert.equal(2, #items());
		end);

		it("has the pushes of a server that is its publisher, and refuses those of another", function ()
			create { publish_model = "publishers" };
			affiliate "publisher";
			sleeps(PUBSUB);
			write("Romeo?");
			assert.equal("Romeo?", told_of(1));
			all_taken();
			affiliate "none";
			is_refused("auth/forbidden");
			assert.equal(1, #items());
		end);

		it("takes the options of a client that are so, and refuses others", function ()
			create { publish_model = "open", access_model = "whitelist" };
			sleeps(PUBSUB, { options = { ["pubsub#access_model"] = "whitelist" } });
			write("Romeo?");
			assert.equal("Romeo?", told_of(1));
			all_taken();
			leaves();
			create { publish_model = "open", access_model = "whitelist" };
			sleeps(PUBSUB, { options = { ["pubsub#access_model"] = "open" } });
			is_refused("cancel/conflict");
			assert.same({}, items());
		end);

		-- ejabberd calls this a lack of resources for now, not a refusal.
		it("that refuses an option of the client ends no registration, and has the pushes once the client leaves that option out", function ()
			create { publish_model = "open" };
			sleeps(PUBSUB, { options = { secret = "s" } });
			write("Romeo?");
			home:wait_log("failed on its way %(wait/resource%-constraint, Unknown field");
			answered();
			assert.same({}, items());
			phone = client.resume(home, "romeo", phone);
			assert.equal("result", phone:enable_push({ jid = PUBSUB, node = "n" }).attr.type);
			phone:acked();
			phone:sleep();
			write("Wherefore?");
			assert.equal("Wherefore?", told_of(1));
		end);

		it("that is no more ends the registration, unless it is there again in time", function ()
			sleeps(PUBSUB);
			home:ping("romeo");
			answered();
			assert.matches("was refused (cancel/item-not-found", home:log():sub(begun), 1, true);
			create { publish_model = "open" };
			write("Romeo?");
			assert.equal("Romeo?", told_of(1));
			answered();
			delete();
			is_refused("cancel/item-not-found");
		end);

		it("has what was owed while ejabberd was away", function ()
			create { publish_model = "open" };
			sleeps(PUBSUB);
			write("Romeo?");
			assert.equal("Romeo?", told_of(1));
			answered();
			wakes();
			phone:sleep();
			away:shut_down();
			net.wait(function () return not federation.stream(home, PUBSUB, "type"); end, "the end of the stream");
			write("Wherefore?");
			home:wait_log("failed on its way");
			restarts();
			-- A push that is owed is plain, and the node is still there.
			assert.equal("New Message!", told_of(1));
			answered();
			assert.equal(2, #items());
		end);
	end);
end);

describe("an app server on ejabberd, trusted by dialback,", function ()
	setup(function () start "dialback"; end);
	before_each(function () app.pushes = {}; end);
	teardown(function () federation.stop(home, away); end);

	it("wakes a phone once", function ()
		sleeps(PUSH);
		write("Romeo?");
		app:expect(1);
		answered();
		assert.is_true(federation.stream(home, PUSH, "secure"));
		wakes();
		assert.equal(1, #app.pushes);
	end);

	-- ejabberd has no stream management between servers: nothing says that the push is lost but the end of the stream.
	it("that freezes and dies with a push gets it when it is back", function ()
		sleeps(PUSH);
		write("One");
		app:expect(1);
		answered();
		assert.is_falsy(federation.stream(home, PUSH, "smacks"));
		wakes();
		phone:sleep();
		os.execute("kill -STOP "..away:pid());
		write("Two");
		net.wait(function () return home:in_flight() == 1; end, "the push");
		away:kill();
		home:wait_log("failed on its way %(wait/remote%-server%-timeout, the stream to "..PUSH:gsub("%p", "%%%0").." ended%)");
		restarts();
		app:expect(1);
		answered();
		assert.equal(1, #app.pushes);
	end);
end);

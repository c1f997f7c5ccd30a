-- Enabling and disabling push, and the records in the store.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local registered = require "spec.support.registered";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local keys, bound = registered.identifiers, registered.bound;

local function start(options)
	return prosody.start { version = os.getenv("PROSODY"), module = "ours", options = options };
end

-- type, condition, text of an answer
local function err(reply)
	assert.equal("error", reply.attr.type, tostring(reply));
	return { (select(1, reply:get_error())), (select(2, reply:get_error())), (select(3, reply:get_error())) };
end

describe("push registration", function ()
	local server, phone;
	before_each(function ()
		server = start();
		phone = client.connect(server, "romeo", { resource = "phone" });
	end);
	after_each(function () server:stop(); end);

	it("is announced by the account, not by the host", function ()
		assert.is_true(phone:features("romeo@example.test")["urn:xmpp:push:0"]);
		assert.is_nil(phone:features("example.test")["urn:xmpp:push:0"]);
	end);

	it("is stored in the reference's shape, with the form unchanged", function ()
		local form = st.stanza("x", { xmlns = "jabber:x:data", type = "form" })
			:tag("field", { var = "b", type = "text-private", label = "L" }):text_tag("value", "<&>"):up()
			:tag("field", { var = "a" }):text_tag("value", "1"):text_tag("value", "2"):up();
		local before = os.time();
		local reply = phone:iq(st.stanza("iq", { type = "set", ["xml:lang"] = "it" })
			:tag("enable", { xmlns = "urn:xmpp:push:0", jid = "push.example.test", node = "n", include_payload = "x" }):add_child(form));
		assert.equal("result", reply.attr.type);
		assert.equal(0, #reply.tags);
		local stored = server:stored("romeo");
		assert.same({ "push.example.test<n" }, keys(stored));
		local record = stored["push.example.test<n"];
		assert.is_true(record.timestamp >= before and record.timestamp <= os.time() + 1);
		record.timestamp = nil;
		local options = record.options;
		record.options = nil;
		assert.same({ jid = "push.example.test", node = "n", include_payload = "x", resource = "phone", language = "it" }, record);
		assert.equal("x", options.name);
		assert.equal("form", options.attr.type);
		assert.same({ "b", "text-private", "L" }, { options[1].attr.var, options[1].attr.type, options[1].attr.label });
		assert.equal("<&>", options[1][1][1]);
		assert.same({ "1", "2" }, { options[2][1][1], options[2][2][1] });
	end);

	it("is not written again only for its time, unless the time matters", function ()
		local IDENTIFIER, HOUR = "push.example.test<n", 3600;
		-- Enables a registration again that is `age` seconds old and stored with `others`. Returns the stored record's age in hours.
		local function age_after(age, fields, others)
			phone:enable_push { jid = "push.example.test", node = "n", options = { secret = "s" } };
			local records = server:stored("romeo");
			for identifier, record in pairs(others or {}) do records[identifier] = record; end
			records[IDENTIFIER].timestamp = os.time() - age;
			server:store("romeo", records);
			server:reload();
			fields = fields or { jid = "push.example.test", node = "n", options = { secret = "s" } };
			assert.equal("result", phone:enable_push(fields).attr.type);
			return (os.time() - server:stored("romeo")[IDENTIFIER].timestamp) // HOUR;
		end
		assert.equal(5, age_after(5 * HOUR));
		assert.equal(0, age_after(25 * HOUR), "a day is over");
		assert.equal(0, age_after(5 * HOUR, { jid = "push.example.test", node = "n", options = { secret = "t" } }), "another form");
		assert.equal(0, age_after(5 * HOUR, { jid = "push.example.test", node = "n" }), "no form");
		assert.is_true(age_after(5 * HOUR, nil, { ["push.example.test<o"] = { jid = "push.example.test", node = "o",
			timestamp = os.time() - 4 * HOUR, client_id = "another's" } }) <= 0, "it was not the newest");
	end);

	describe("made again", function ()
		local FIELDS = { jid = "push.example.test", node = "n", options = { secret = "s" } };

		-- What the module does with its store from now on, in order: "get", "set".
		local function watch()
			server:eval([[
				prosody.done = {};
				local storagemanager = require "core.storagemanager";
				prosody.sound_open = prosody.sound_open or storagemanager.open;
				storagemanager.open = function (host, name, kind)
					local store = prosody.sound_open(host, name, kind);
					if name ~= "cloud_notify" then return store; end
					return setmetatable({}, { __index = function (_, method)
						return function (_, ...)
							table.insert(prosody.done, method);
							return store[method](store, ...);
						end
					end });
				end
			]]);
			faulty.clock(server);
		end

		-- What enabling does with the store.
		local function enabling(fields, session)
			server:eval("prosody.done = {}");
			assert.equal("result", (session or phone):enable_push(fields or FIELDS).attr.type);
			return table.concat(server:eval("return prosody.done"), " ");
		end

		before_each(watch);

		it("neither reads nor writes the store for an hour", function ()
			assert.equal("get set", enabling());
			assert.equal("", enabling());
			assert.same({ phone = "push.example.test<n" }, bound(server, "romeo"));
			local record = server:eval("return prosody.hosts[module.host].sessions.romeo.sessions.phone.push_settings");
			assert.same(server:stored("romeo")["push.example.test<n"], record);
			faulty.ahead(server, 3599);
			assert.equal("", enabling());
			faulty.ahead(server, 3601);
			assert.equal("get", enabling());
			assert.equal("", enabling());
		end);

		it("in another session is held by it and still gets the pushes", function ()
			enabling();
			phone:close();
			local app = appserver.connect(server, "push.example.test");
			local again = client.connect(server, "romeo", { resource = "phone" });
			assert.equal("", enabling(nil, again));
			assert.same({ phone = "push.example.test<n" }, bound(server, "romeo"));
			server:ping("romeo");
			assert.equal("s", appserver.read(app:expect(1)).options.secret);
		end);

		it("with a changed request is stored", function ()
			local other = { jid = "push.example.test", node = "n", options = { secret = "t" } };
			enabling();
			assert.equal("get set", enabling(other));
			assert.equal("get set", enabling());
			assert.equal("get set", enabling({ jid = "push.example.test", node = "n" }));
			assert.equal("get set", enabling(FIELDS, client.connect(server, "romeo", { resource = "tablet" })), "another client");
			assert.equal("get set", enabling(), "and back");
			local reply = phone:iq(st.stanza("iq", { type = "set", ["xml:lang"] = "it" })
				:tag("enable", { xmlns = "urn:xmpp:push:0", jid = "push.example.test", node = "n" }));
			assert.equal("result", reply.attr.type);
			assert.equal("it", server:stored("romeo")["push.example.test<n"].language);
		end);

		it("is stored if it has been ended, replaced or refused since", function ()
			enabling();
			phone:disable_push({ jid = "push.example.test" });
			assert.equal("get set", enabling());
			enabling({ jid = "push.example.test", node = "another" });
			assert.equal("get set", enabling(), "it is not the newest");
			local app = appserver.connect(server, "push.example.test");
			app.answer = { "cancel", "item-not-found" };
			server:reload();
			enabling();
			for _ = 1, 16 do server:ping("romeo"); end
			net.wait(function () return not (server:stored("romeo") or {})["push.example.test<n"]; end, "the end of a registration that is refused");
			assert.equal("get set", enabling());
			assert.is_table(server:stored("romeo")["push.example.test<n"]);
			server:eval("assert(require 'core.usermanager'.delete_user('mercutio', module.host))");
			assert.equal("", enabling(), "another user's account");
			server:reload();
			assert.equal("get", enabling(), "after a reload");
		end);

		it("is seen by a module that hooks registrations", function ()
			enabling();
			server:eval([[
				prosody.say = function (event)
					prosody.seen = (prosody.seen or 0) + 1;
					event.push_info.my_key = "my value";
				end
				module:hook("cloud_notify/registration", prosody.say);
			]]);
			enabling();
			enabling();
			assert.equal(2, server:eval("return prosody.seen"));
			assert.equal("my value", server:stored("romeo")["push.example.test<n"].my_key);
			server:eval("module:unhook('cloud_notify/registration', prosody.say)");
			assert.equal("get set", enabling());
			assert.is_nil(server:stored("romeo")["push.example.test<n"].my_key);
		end);

		it("is read again after an extension was switched on, which changes its meaning", function ()
			local fields = { jid = "push.example.test", node = "n", tigase.ignore_unknown() };
			enabling(fields);
			assert.equal("", enabling(fields));
			server:load("cloud_notify_filters");
			assert.equal("get set", enabling(fields));
			assert.is_true(server:stored("romeo")["push.example.test<n"].filter_unknown);
		end);
	end);

	it("needs no node and no form", function ()
		assert.equal("result", phone:enable_push({ jid = "push.example.test" }).attr.type);
		local record = server:stored("romeo")["push.example.test<"];
		assert.is_nil(record.node);
		assert.is_nil(record.options);
	end);

	it("is refused without a JID, with an invalid JID, and with the user's own", function ()
		assert.same({ "modify", "bad-request", "Missing jid" }, err(phone:enable_push({ node = "n" })));
		for _, jid in ipairs({ "", "@", "/", "a@b@c", "@push.example", ("x"):rep(4000) }) do
			assert.same({ "modify", "bad-request", "The jid attribute is not a valid JID (RFC 7622)" },
				err(phone:enable_push({ jid = jid, node = "n" })), jid);
		end
		for _, jid in ipairs({ phone.jid, phone.bare, phone.bare.."/another" }) do
			assert.same({ "modify", "bad-request", "The jid attribute must be the push service's JID, not your own" },
				err(phone:enable_push({ jid = jid, node = "n" })), jid);
		end
		assert.is_nil(server:stored("romeo"));
		assert.same({ phone = "none" }, bound(server, "romeo"));
	end);

	it("is refused if it is too large", function ()
		local deep = st.stanza("x", { xmlns = "jabber:x:data" });
		for _ = 1, 40 do deep:tag("field"); end
		for _, fields in ipairs({
			{ options = deep:reset() }; { options = { secret = ("x"):rep(16 * 1024) } }; { node = ("x"):rep(16 * 1024) };
			{ node = ("x"):rep(10 * 1024), include_payload = ("x"):rep(10 * 1024) };
		}) do
			fields.jid = "push.example.test";
			assert.same({ "modify", "bad-request", "The registration is too large: 16 kB at most" }, err(phone:enable_push(fields)));
		end
		assert.is_nil(server:stored("romeo"));
		assert.same({ phone = "none" }, bound(server, "romeo"));
		-- JID, node and form, which every push carries.
		for _, fields in ipairs({
			{ node = ("x"):rep(4097) }, { node = ("&"):rep(820) }, { options = { secret = ("x"):rep(4 * 1024) } };
			{ jid = "push.example.test/"..("'"):rep(700) };
		}) do
			fields.jid = fields.jid or "push.example.test";
			assert.same({ "modify", "bad-request",
				"JID, node and form are too large: every push carries them, and they may take 4 kB at most" }, err(phone:enable_push(fields)));
		end
		assert.is_nil(server:stored("romeo"));
		assert.equal("result", phone:enable_push({ jid = "push.example.test", node = ("x"):rep(4000) }).attr.type);
		assert.equal("result", phone:enable_push({ jid = "push.example.test", include_payload = ("x"):rep(15 * 1024) }).attr.type);
	end);

	it("accepts a full JID, and stores every JID in its normal form", function ()
		phone:enable_push({ jid = "Push.Example/Resource", node = "n" });
		assert.same({ "push.example/Resource<n" }, keys(server:stored("romeo")));
		assert.equal("result", phone:disable_push({ jid = "PUSH.example/Resource" }).attr.type);
		assert.is_nil(server:stored("romeo"));
	end);

	it("is replaced and gets a new time when the client enables it again", function ()
		phone:enable_push({ jid = "push.example.test", node = "n", options = { secret = "old" } });
		local first = server:stored("romeo")["push.example.test<n"].timestamp;
		phone:enable_push({ jid = "push.example.test", node = "other" });
		phone:enable_push({ jid = "push.example.test", node = "n", options = { secret = "new" } });
		local stored = server:stored("romeo");
		assert.same({ "push.example.test<n", "push.example.test<other" }, keys(stored));
		assert.is_true(stored["push.example.test<n"].timestamp > first);
		assert.is_true(stored["push.example.test<n"].timestamp > stored["push.example.test<other"].timestamp);
		assert.equal("new", stored["push.example.test<n"].options[2][1][1]);
	end);

	it("of a sixth device ends the oldest one, also in its session", function ()
		local first = client.connect(server, "romeo", { resource = "first" });
		first:enable_push({ jid = "push.example.test", node = "1" });
		local function enable(i)
			local session = client.connect(server, "romeo", { resource = "device"..i });
			session:enable_push({ jid = "push.example.test", node = tostring(i) });
			session:close();
		end
		for i = 2, 5 do enable(i); end
		assert.equal("push.example.test<1", bound(server, "romeo").first);
		server:restart();
		phone = client.connect(server, "romeo", { resource = "phone" });
		first = client.connect(server, "romeo", { resource = "first" });
		first:enable_push({ jid = "push.example.test", node = "1" });
		enable(6);
		assert.same({ "push.example.test<1", "push.example.test<3", "push.example.test<4", "push.example.test<5", "push.example.test<6" },
			keys(server:stored("romeo")));
		for i = 7, 9 do enable(i); end
		phone:enable_push({ jid = "push.example.test", node = "10" });
		assert.is_nil(server:stored("romeo")["push.example.test<1"]);
		assert.same({ first = "none", phone = "push.example.test<10" }, bound(server, "romeo"));
	end);

	it("that is the oldest ends in whatever order the store has the records", function ()
		for round = 1, 10 do
			local records = {};
			for i = 1, 5 do
				local node = ("%d-%d"):format(round, (i * 7 + round) % 5);
				records["push.example.test<"..node] = { jid = "push.example.test", node = node, timestamp = 1000 + i };
			end
			server:store("romeo", records);
			local oldest;
			for name, record in pairs(records) do if record.timestamp == 1001 then oldest = name; end end
			server:reload();
			phone:enable_push({ jid = "push.example.test", node = "new" });
			local stored = server:stored("romeo");
			assert.is_nil(stored[oldest]);
			assert.equal(5, #keys(stored));
		end
	end);

	it("is disabled by app server, or by app server and node", function ()
		for _, node in ipairs({ "a", "b" }) do phone:enable_push({ jid = "push.example.test", node = node }); end
		phone:enable_push({ jid = "push2.example.test", node = "a" });
		assert.equal("result", phone:disable_push({ jid = "push.example.test", node = "zzz" }).attr.type);
		assert.equal(3, #keys(server:stored("romeo")));
		assert.equal("result", phone:disable_push({ jid = "push.example.test", node = "a" }).attr.type);
		assert.same({ "push.example.test<b", "push2.example.test<a" }, keys(server:stored("romeo")));
		phone:enable_push({ jid = "push.example.test", node = "c" });
		assert.equal("result", phone:disable_push({ jid = "push.example.test" }).attr.type);
		assert.same({ "push2.example.test<a" }, keys(server:stored("romeo")));
		assert.equal("result", phone:disable_push({ jid = "nobody.example" }).attr.type);
		assert.same({ "modify", "bad-request", "Missing jid" }, err(phone:disable_push({})));
		assert.same({ "push2.example.test<a" }, keys(server:stored("romeo")));
	end);

	it("ends for every session that holds it", function ()
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		phone:enable_push({ jid = "push.example.test", node = "n" });
		tablet:enable_push({ jid = "push.example.test", node = "n" });
		laptop:enable_push({ jid = "push2.example.test", node = "n" });
		laptop:disable_push({ jid = "push.example.test" });
		assert.same({ phone = "none", tablet = "none", laptop = "push2.example.test<n" }, bound(server, "romeo"));
	end);

	it("that only the reference accepts can be disabled", function ()
		server:store("romeo", { ["@<n"] = { jid = "@", node = "n", timestamp = 1 } });
		server:reload();
		assert.equal("result", phone:disable_push({ jid = "@" }).attr.type);
		assert.is_nil(server:stored("romeo"));
	end);

	it("that is unreadable can be disabled by its client", function ()
		server:store("romeo", {
			["push.example.test<n"] = { jid = "push.example.test", node = "n", options = 1, timestamp = 1 };
			["push.example.test<m"] = { jid = "push.example.test", node = "m", options = 1, timestamp = 1 };
		});
		server:reload();
		assert.equal("result", phone:disable_push({ jid = "Push.Example.Test", node = "n" }).attr.type);
		assert.same({ "push.example.test<m" }, keys(server:stored("romeo")));
	end);

	it("replaces a record of the reference with another spelling of the JID", function ()
		server:store("romeo", { ["Push.Example.Test<n"] = { jid = "Push.Example.Test", node = "n", timestamp = 1 } });
		server:reload();
		local app = appserver.connect(server, "push.example.test");
		app.answer = { "cancel", "item-not-found" };
		server:ping("romeo");
		assert.equal(1, app:settled(), "it works as it is");
		assert.matches("1 of 16 in a row", server:log());
		phone:enable_push({ jid = "push.example.test", node = "n" });
		assert.same({ "push.example.test<n" }, keys(server:stored("romeo")));
	end);

	it("ends with the account", function ()
		phone:enable_push({ jid = "push.example.test", node = "n" });
		local app = appserver.connect(server, "push.example.test");
		server:eval([[
			local usermanager = require "core.usermanager";
			assert(usermanager.delete_user("romeo", module.host));
			assert(usermanager.create_user("romeo", "secret", module.host));
		]]);
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		assert.equal(0, app:settled());
		assert.is_nil(server:stored("romeo"));
	end);

	it("leaves unreadable records unchanged", function ()
		server:store("romeo", {
			["push.example.test<n"] = { jid = "push.example.test", node = "n", timestamp = 1, key_of_another = { 1, 2 } };
			["odd"] = "text"; ["no jid"] = { node = "n" }; [7] = { jid = {} };
		});
		server:reload();
		local app = appserver.connect(server, "push.example.test");
		phone:close();
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		assert.equal("n", appserver.read(app:expect(1)).node);
		phone = client.connect(server, "romeo");
		phone:enable_push({ jid = "push.example.test", node = "m" });
		local stored = server:stored("romeo");
		assert.equal("text", stored.odd);
		assert.same({ 1, 2 }, stored["push.example.test<n"].key_of_another);
		assert.matches("cannot be read and is skipped", server:log());
	end);
end);

describe("push_max_devices", function ()
	it("takes effect when it is lowered", function ()
		local server = start();
		local phone = client.connect(server, "romeo");
		for i = 1, 5 do phone:enable_push({ jid = "push.example.test", node = tostring(i) }); end
		phone:close();
		server:restart({ push_max_devices = 2 });
		local app = appserver.connect(server, "push.example.test");
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
		assert.equal(2, app:settled());
		local woken = { appserver.read(app.pushes[1]).node, appserver.read(app.pushes[2]).node };
		table.sort(woken);
		assert.same({ "4", "5" }, woken);
		client.connect(server, "romeo"):enable_push({ jid = "push.example.test", node = "6" });
		assert.same({ "push.example.test<5", "push.example.test<6" }, keys(server:stored("romeo")));
		server:stop();
	end);
end);

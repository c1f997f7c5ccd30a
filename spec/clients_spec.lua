-- Plays a day with each client of spec/clients and its gateway of spec/gateways: the client enables push, sleeps, is woken once,
-- resumes, is called, comes back without its session, and disables push. The gateway refuses no push.
local prosody = require "spec.support.prosody";
local client = require "spec.support.client";
local gateways = require "spec.support.gateways";
local shapes = require "spec.support.shapes";
local publish = require "spec.support.publish";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local VERSION = os.getenv("PROSODY");
local PUSH = "push.example.test";
local AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770";
-- Servers with 0.12 seldom have SASL2, and the mod_smacks of 0.12 does not resume inline.
local SASL2 = VERSION ~= "0.12" and { "sasl2", "sasl2_bind2", "sasl2_sm" } or {};

local server, gateway, juliet, kind, device, phone;

local function list(...)
	local all = {};
	for _, part in ipairs({ ... }) do
		for _, item in ipairs(part) do table.insert(all, item); end
	end
	return all;
end

local function start(name, modules)
	kind = shapes.load(name);
	server = prosody.start {
		version = VERSION, module = "ours", enable = list({ "csi_simple" }, SASL2, modules or kind.modules or {}), community = SASL2;
		options = { push_max_errors = 2 };
	};
	gateway = gateways.connect(server, PUSH, kind.gateway);
	juliet = client.connect(server, "juliet", { resource = "balcony" });
	device = { account = "romeo@example.test", address = PUSH, node = kind.node, secret = kind.secret };
	if kind.node then gateway:know(device); end
end

-- The client registers at its gateway, which gives it a node and a secret.
local function register()
	local answer = phone:iq(kind.register(device));
	assert.equal("result", answer.attr.type, tostring(answer));
	local form = answer:find("{http://jabber.org/protocol/commands}command/{jabber:x:data}x");
	device.said = {};
	for field in form:childtags("field") do device.said[field.attr.var] = field:get_child_text("value"); end
	device.node, device.secret = device.said.node, device.said.secret;
	gateway:know(device);
end

local function enable()
	device.features = phone:features(device.account);
	for _, feature in ipairs(kind.looks_for) do assert.is_true(device.features[feature], feature); end
	if kind.register then register(); end
	local answer = phone:iq(kind.enable(device));
	assert.equal("result", answer.attr.type, tostring(answer));
end

-- The client connects with a new session. Some clients enable push only once.
local function connect(resource)
	local opts = { resource = resource or kind.resource, smacks = kind.smacks };
	if kind.sasl2 and #SASL2 > 0 then
		opts.agent = AGENT;
		opts.bind = kind.sasl2 == "bind" and "Phone" or nil;
	end
	phone = client.connect(server, "romeo", opts);
	if kind.on == "bind" or not device.features then enable(); end
	phone:acked();
	return phone;
end

local function sleep()
	if kind.inactive then
		phone:send(st.stanza("inactive", { xmlns = "urn:xmpp:csi:0" }));
		phone:sync();
		phone:acked();
	end
	phone:sleep();
end

local function resume()
	phone = client.resume(server, "romeo", phone);
	for _, stanza in ipairs(kind.resumed(device)) do
		assert.equal("result", phone:iq(stanza).attr.type);
	end
	phone:acked();
end

-- How loud a push is: "shown", "silent" or "rings"; of an encrypted one, what the client does with it.
local function loudness(push)
	local notification = push:get_child("notification", push2.xmlns);
	if notification then
		if notification:get_child("voip") then return "rings"; end
		return notification:get_child_text("priority") == "high" and "loud" or "shown";
	end
	local parts = publish.parts(push);
	local encrypted = parts.notification:get_child("encrypted", tigase.xmlns_encrypt);
	if encrypted then return kind.does(tigase.read(push), encrypted.attr.type); end
	return publish.value(parts.summary, "last-message-body") and "shown" or "silent";
end

-- Returns how loud each push was that came since the last call. The gateway must have refused none.
local counted = 0;
local function pushes()
	local n = gateway.app:settled();
	assert.same({}, gateway.refused);
	local new = {};
	for i = counted + 1, n do table.insert(new, loudness(gateway.app.pushes[i])); end
	counted = n;
	return new;
end

local function woken()
	gateway.app:expect(counted + 1);
	return pushes();
end

local function write(body)
	juliet:message { to = device.account, body = body };
end

local function hears(body)
	phone:expect(function (stanza) return stanza:get_child_text("body") == body; end, body);
end

local function day()
	counted = 0;
	connect();
	write("Here?");
	hears("Here?");
	phone:acked();
	assert.same({}, pushes());

	sleep();
	write("Asleep?");
	assert.same({ "shown" }, woken());
	resume();
	hears("Asleep?");
	assert.same({}, pushes());
	write("Awake?");
	hears("Awake?");
	phone:acked();
	assert.same({}, pushes());

	-- The next nap is as the first.
	sleep();
	write("Again?");
	assert.same({ "shown" }, woken());
	resume();
	hears("Again?");
end

local function is_called()
	if not kind.propose then return; end
	sleep();
	for _, message in ipairs(kind.propose(device.account, "sid1")) do juliet:send(message); end
	juliet:sync();
	local rings = (kind.gateway == "snikket-apns" or device.key) and "rings" or "shown";
	assert.same({ rings }, woken());
	resume();
	phone:expect(function (stanza) return stanza:get_child("propose", "urn:xmpp:jingle-message:0"); end, "the call");
	for _, message in ipairs(kind.take(device, juliet.jid, "sid1")) do phone:send(message); end
	juliet:expect(function (stanza) return stanza:get_child("proceed", "urn:xmpp:jingle-message:0"); end, "<proceed/>");
	phone:acked();
	assert.same({}, pushes());
end

-- The session ends, as when the app or the server restarts. The client comes back with a new one.
local function comes_back()
	phone:close();
	phone:gone();
	write("Gone?");
	assert.same({ "shown" }, woken());
	connect();
	assert.same({}, pushes());
	write("Back?");
	hears("Back?");
	phone:acked();
	assert.same({}, pushes());
	sleep();
	write("Still?");
	assert.same({ "shown" }, woken());
	resume();
end

local function goes()
	if kind.disable then
		assert.equal("result", phone:iq(kind.disable(device)).attr.type);
		phone:close();
	else
		phone:close();
		gateway:forget(device.node);
		for _ = 1, 2 do
			write("Who is there?");
			woken();
		end
	end
	write("Nobody?");
	assert.same({}, pushes());
	assert.is_nil(next(server:stored("romeo", kind.gateway == "snikket-apns" and "push2_registrations" or nil) or {}));
end

for _, name in ipairs(shapes.names) do
	local shape = shapes.load(name);
	describe(shape.title.." at "..gateways.load(shape.gateway).title, function ()
		after_each(function () server:stop(); end);

		it("is woken once a nap, rings, comes back, and goes", function ()
			start(name);
			day();
			is_called();
			comes_back();
			goes();
		end);
	end);
end

for _, name in ipairs({ "siskin", "snikket-ios" }) do
	local shape = shapes.load(name);
	describe(shape.title.." beside another client", function ()
		after_each(function () server:stop(); end);

		it("rings for each call, and stops when the call is over", function ()
			start(name);
			counted = 0;
			connect();
			sleep();
			local laptop = client.connect(server, "romeo", { resource = "laptop", smacks = true });
			local function rings(sid, media)
				for _, message in ipairs(kind.propose(device.account, sid, media)) do juliet:send(message); end
				juliet:sync();
				assert.same({ "rings" }, woken());
				laptop:acked();
			end
			rings("sid1", { "audio", "video" });
			for _, message in ipairs(kind.take(device, juliet.jid, "sid1")) do laptop:send(message); end
			assert.same({ "ends the call of juliet@example.test" }, woken());
			rings("sid2", {});
			juliet:send(shapes.jingle(device.account, "retract", "sid2", {}));
			assert.same({ "ends the call of juliet@example.test" }, woken());
			rings("sid3", { "chat" });
		end);
	end);
end

describe("what Siskin does with a push", function ()
	it("is known", function ()
		local does, juliet_s = shapes.load("siskin").does, "juliet@example.test/balcony";
		assert.equal("does not ring", does({ sid = "s", sender = juliet_s }, "voip"));
		assert.equal("rings for nobody", does({ sender = juliet_s, media = {} }, "voip"));
		assert.equal("crashes", does({ sid = "s", sender = juliet_s, media = { "chat" } }, "voip"));
		assert.equal("rings", does({ sid = "s", sender = juliet_s, media = {} }, "voip"));
		assert.equal("ends the call of juliet@example.test", does({ sid = "s", sender = juliet_s }));
		assert.equal("shown", does({ sender = juliet_s, message = "Hi" }));
	end);
end);

describe("Siskin on a server without Tigase's extensions", function ()
	after_each(function () server:stop(); end);

	it("is woken as any client", function ()
		start("siskin", {});
		day();
		assert.is_nil(device.key);
		is_called();
		comes_back();
		goes();
	end);
end);

describe("Converse in a new tab, beside an old one that hibernates", function ()
	after_each(function () server:stop(); end);

	it("is woken for what comes when both are away, and not while the new one is there", function ()
		start("converse");
		counted = 0;
		local old = connect("converse.js-1");
		old:sleep();
		connect("converse.js-2");
		write("Here?");
		hears("Here?");
		phone:acked();
		assert.same({}, pushes());
		phone:sleep();
		write("Asleep?");
		assert.same({ "shown" }, woken());
		resume();
		hears("Asleep?");
		assert.same({}, pushes());
	end);
end);

describe("Borogove in a browser", function ()
	after_each(function () server:stop(); end);

	it("gets a token for its push service, and the message, which only it can read", function ()
		start("borogove");
		counted = 0;
		device.vapid = true;
		connect();
		sleep();
		write("Asleep?");
		assert.same({ "shown" }, woken());
		local read = push2.read(gateway.app.pushes[1]);
		assert.equal("updates.push.example.test", push2.verify(read.jwt, "ES256", read.key).aud);
		assert.equal("Asleep?", (push2.decrypt(read.payload)):get_child_text("body"));
	end);
end);

describe("a client of MongooseIM's push service", function ()
	after_each(function () server:stop(); end);

	-- The gateway reads sender and text, unless the client's form says `silent`.
	for _, case in ipairs({
		{ "that asks for silent pushes"; { silent = "true" }; {} };
		{ "on a server that sends senders and texts"; {}; { push_notification_with_sender = true, push_notification_with_body = true } };
	}) do
		it(case[1].." is woken", function ()
			server = prosody.start { version = VERSION, module = "ours", options = case[3] };
			gateway = gateways.connect(server, PUSH, "mongooseim");
			counted = 0;
			juliet = client.connect(server, "juliet");
			local fields = { { "device_id", "d1" }, { "service", "apns" } };
			for field, text in pairs(case[2]) do table.insert(fields, { field, text }); end
			device = gateway:know { account = "romeo@example.test", address = PUSH, node = "d1", options = publish.options(fields) };
			phone = client.connect(server, "romeo", { smacks = true });
			assert.equal("result", phone:iq(shapes.enable(device, device.options)).attr.type);
			phone:acked();
			phone:sleep();
			write("Asleep?");
			assert.same({ "shown" }, woken());
		end);
	end
end);

-- Push 2.0 enabled while a client authenticates: SASL2 (XEP-0388), Bind 2 (XEP-0386), and XEP-0198 inline.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local stream = require "spec.support.stream";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local PUSH, STORE = "push2.example.test", "push2_registrations";
local AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770";

-- The mod_smacks of 0.12 lets no other module resume a session.
local RESUMES = os.getenv("PROSODY") ~= "0.12";
local SASL2 = { "sasl2", "sasl2_bind2", RESUMES and "sasl2_sm" or nil };

local server, app;

-- Connects and authenticates as romeo with `inline` children. Returns the connection and <success>.
local function authenticate(agent, ...)
	local arrived = {};
	local self = { stream = stream.connect {
		port = server.c2s_port; default_ns = "jabber:client"; to = server.host;
		on_stanza = function (stanza) arrived[#arrived + 1] = stanza; end;
	} };
	local function arrives(name)
		return net.wait(function ()
			for i, stanza in ipairs(arrived) do if stanza.name == name then return table.remove(arrived, i); end end
		end, name);
	end
	self.features = arrives("features");
	local auth = st.stanza("authenticate", { xmlns = "urn:xmpp:sasl:2", mechanism = "PLAIN" })
		:text_tag("initial-response", base64("\0romeo\0"..server.password));
	if agent then auth:tag("user-agent", { id = agent }):text_tag("software", "spec"):up(); end
	for _, child in ipairs({ ... }) do auth:add_direct_child(child); end
	self.stream:send(auth);
	return self, arrives("success");
end

local function bind(...)
	local request = st.stanza("bind", { xmlns = "urn:xmpp:bind:0" }):text_tag("tag", "phone");
	for _, child in ipairs({ ... }) do request:add_direct_child(child); end
	return request;
end

local function enable(profile)
	return push2.enable { service = PUSH, push2.match(profile or "all") };
end

local function sessions()
	return server:eval([[
		local found = {};
		for _, session in pairs((prosody.hosts[module.host].sessions.romeo or { sessions = {} }).sessions) do
			found[#found + 1] = session.push_registration_id or "none";
		end
		return found;
	]]);
end

describe("push2 inline", function ()
	before_each(function ()
		server = prosody.start {
			version = os.getenv("PROSODY"), module = "ours", enable = { "push2", table.unpack(SASL2) }, community = SASL2,
			options = { smacks_hibernation_time = 300 },
		};
		app = appserver.connect(server, PUSH);
	end);
	after_each(function () server:stop(); end);

	local function wakes()
		local juliet = client.connect(server, "juliet");
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		juliet:close();
		return push2.read(app:expect(1)).priority;
	end

	it("is announced", function ()
		local phone = authenticate(AGENT);
		local inline = phone.features:get_child("authentication", "urn:xmpp:sasl:2"):get_child("inline");
		assert.is_truthy(inline:get_child("push", push2.xmlns));
		local found = {};
		for feature in inline:get_child("bind", "urn:xmpp:bind:0"):get_child("inline"):childtags("feature") do
			found[feature.attr.var] = true;
		end
		assert.is_true(found[push2.xmlns]);
	end);

	it("works within a bind request, for a client with a user agent id", function ()
		local phone, success = authenticate(AGENT, bind(enable()));
		assert.is_truthy(success:get_child("bound", "urn:xmpp:bind:0"):get_child("enabled", push2.xmlns));
		assert.equal(PUSH, server:stored("romeo", STORE)[AGENT].service);
		assert.same({ AGENT }, sessions());
		phone.stream:close();
		assert.equal("normal", wakes());
	end);

	it("works beside a bind request, for the client with the resource", function ()
		local phone, success = authenticate(nil, bind(), enable());
		assert.is_truthy(success:get_child("enabled", push2.xmlns));
		local resource = success:get_child_text("authorization-identifier"):match("/(.*)");
		assert.is_truthy(server:stored("romeo", STORE)[resource]);
		phone.stream:close();
		assert.equal("normal", wakes());
	end);

	if RESUMES then it("works while a session is resumed", function ()
		local phone, success = authenticate(AGENT, bind(st.stanza("enable", { xmlns = "urn:xmpp:sm:3", resume = "true" })));
		local id = success:get_child("bound", "urn:xmpp:bind:0"):get_child("enabled", "urn:xmpp:sm:3").attr.id;
		assert.same({ "none" }, sessions());
		phone.stream:cut();
		phone, success = authenticate(AGENT, st.stanza("resume", { xmlns = "urn:xmpp:sm:3", previd = id, h = "0" }), enable());
		assert.is_truthy(success:get_child("resumed", "urn:xmpp:sm:3"));
		assert.is_truthy(success:get_child("enabled", push2.xmlns));
		assert.same({ AGENT }, sessions());
		phone.stream:cut();
		assert.equal("normal", wakes());
	end); end

	it("reports an error, and the client is logged in all the same", function ()
		local _, success = authenticate(AGENT, bind(enable("urn:example:tuesdays")), enable("urn:example:tuesdays"));
		for _, place in ipairs({ success, success:get_child("bound", "urn:xmpp:bind:0") }) do
			local failed = place:get_child("failed", push2.xmlns);
			assert.is_truthy(failed:get_child("error"):get_child("feature-not-implemented", "urn:ietf:params:xml:ns:xmpp-stanzas"));
		end
		assert.is_nil(server:stored("romeo", STORE));
		assert.same({ "none" }, sessions());
	end);

	it("binds the registration of a client that logs in again", function ()
		local phone = authenticate(AGENT, bind(enable()));
		phone.stream:close();
		phone = authenticate(AGENT, bind());
		assert.same({ AGENT }, sessions());
		phone.stream:close();
	end);
end);

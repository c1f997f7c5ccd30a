-- Each gateway of spec/gateways takes a push as it should be, and refuses one that breaks a rule: for that rule.
local gateways = require "spec.support.gateways";
local publish = require "spec.support.publish";
local tigase = require "spec.support.tigase";
local push2 = require "spec.support.push2";
local typed = require "spec.support.typed";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local ACCOUNT = "romeo@example.test";

-- As it arrives: each element has its namespace.
local function arrived(stanza)
	return assert(require "util.xml".parse(tostring(stanza)));
end

local function summary(values)
	local form = st.stanza("x", { xmlns = publish.xmlns_form, type = "submit" });
	form:tag("field", { var = "FORM_TYPE", type = "hidden" }):text_tag("value", "urn:xmpp:push:summary"):up();
	for _, value in ipairs(values) do form:tag("field", { var = value[1] }):text_tag("value", value[2]):up(); end
	return form:reset();
end

local function iq(options, ...)
	local push = st.iq({ type = "set", id = "p1", from = "example.test", to = "push.example.test" })
		:tag("pubsub", { xmlns = publish.xmlns_pubsub }):tag("publish", { node = "n" }):tag("item")
		:tag("notification", { xmlns = "urn:xmpp:push:0" });
	for _, child in ipairs({ ... }) do push:add_child(child); end
	push:up():up():up();
	if options then push:tag("publish-options"):add_child(options); end
	return push:reset();
end

local function device(options)
	return { node = "n", account = ACCOUNT, secret = "s", options = options };
end

local count, sender, body = { "message-count", "1" }, { "last-message-sender", "juliet@example.test" }, { "last-message-body", "Hi" };

-- A device, and a push that each gateway takes.
local good = {
	fpush = function ()
		local options = publish.options { { "pushModule", "monalProdiOS" } };
		return device(options), iq(options, summary { count });
	end;
	p2 = function ()
		local options = publish.options { { "secret", "s" } };
		return device(options), iq(options, summary { count });
	end;
	mod_push_appserver = function ()
		local options = publish.options({ { "secret", "s" } }, false);
		return device(options), iq(options, summary { count, sender });
	end;
	tigase = function ()
		local known = device(nil);
		known.key, known.max_size = tigase.key, 3000;
		return known, iq(nil, st.stanza("encrypted", { xmlns = tigase.xmlns_encrypt, iv = base64(("i"):rep(12)) }):text("YQ=="),
			st.stanza("priority", { xmlns = tigase.xmlns_priority }):text("high"));
	end;
	mongooseim = function ()
		local options = publish.options { { "device_id", "d" }, { "service", "apns" } };
		return device(options), iq(options, summary { count, sender, body });
	end;
	["snikket-apns"] = function ()
		local known = { node = "https://api.push.apple.com/3/device/token#topic&voip", account = ACCOUNT };
		return known, st.message({ id = "6a1a2b3c-0d0e-4f0f-8a1b-2c3d4e5f6071", from = "example.test", to = "push@snikket.test" })
			:tag("notification", { xmlns = push2.xmlns }):text_tag("client", known.node):text_tag("priority", "normal")
			:tag("encrypted", { xmlns = "urn:xmpp:sce:rfc8291:0" }):text_tag("payload", "YQ=="):reset();
	end;
};

for _, name in ipairs(gateways.names) do
	local kind = gateways.load(name);
	describe(kind.title, function ()
		it("takes a push as it should be", function ()
			local known, push = good[name]();
			local rule = gateways.judge(kind, arrived(push), known);
			assert.is_nil(rule and rule[1]);
		end);

		for _, rule in ipairs(kind) do
			it("refuses where it is not so that "..rule[1], function ()
				assert.is_string(rule.source);
				local known, push = good[name]();
				push = arrived(push);
				rule.breaks(push, known);
				-- As it looks where the gateway looks for its device.
				local notification = push:get_child("notification", push2.xmlns);
				local node = notification and notification:get_child_text("client") or (publish.parts(push).publish or { attr = {} }).attr.node;
				local broken = gateways.judge(kind, push, node == known.node and known or nil);
				assert.equal(rule[1], broken and broken[1]);
			end);
		end
	end);
end

-- The parser that fpush has, in our version.
describe("xmpp-parsers", function ()
	it("takes the push that fpush takes", function ()
		local known, push = good.fpush();
		local read = typed.read(arrived(push));
		assert.same({ known.node, "monalProdiOS", "1" }, { read.node, read.options.pushModule, read.summary["message-count"] });
	end);

	for _, rule in ipairs(gateways.load("fpush")) do
		if rule.typed then
			it("refuses where it is not so that "..rule[1], function ()
				local _, push = good.fpush();
				push = arrived(push);
				rule.breaks(push);
				assert.is_string(typed.read(push).error);
			end);
		end
	end
end);

describe("a gateway", function ()
	it("knows the same form from another, however its namespaces are written", function ()
		local form = publish.options { { "secret", "s" } };
		assert.is_true(publish.same(form, arrived(form)));
		for _, change in ipairs({
			function (other) other.attr.type = "form"; end;
			function (other) other.tags[1].attr.type = nil; end;
			function (other) other.tags[2].attr.label = "Secret"; end;
			function (other) other.tags[1], other.tags[2] = other.tags[2], other.tags[1]; other[1], other[2] = other[2], other[1]; end;
			function (other) other.tags[2].tags[1][1] = "t"; end;
			function (other) publish.set(other, "more", "m"); end;
		}) do
			local other = arrived(form);
			change(other);
			assert.is_false(publish.same(form, other));
		end
	end);
end);

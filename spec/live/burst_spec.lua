-- Bursts: the pushes that leave the server for 500 messages.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local st = require "util.stanza";

local PUSH = "push.example.test";
local MESSAGES = 500;

describe("500 messages to a user who is away", function ()
	local server, app;
	after_each(function () server:stop(); end);

	local function start(options)
		server = prosody.start { version = os.getenv("PROSODY"), module = "ours", options = options };
		app = appserver.connect(server, PUSH);
		local phone = client.connect(server, "romeo");
		for _, node in ipairs({ "phone", "tablet" }) do phone:enable_push({ jid = PUSH, node = node }); end
		phone:close();
	end

	-- Number of pushes by node.
	local count;

	-- Sends the messages and returns the seconds that it took.
	local function flood()
		count = {};
		app.answer = function (iq)
			local node = appserver.read(iq).node;
			count[node] = (count[node] or 0) + 1;
			app:send(st.reply(iq));
		end;
		-- The server notes the order of the last message and the last push to each device.
		server:eval([[
			local order = { n = 0 };
			prosody.flood_order = order;
			local function note(what)
				order.n = order.n + 1;
				order[what] = order.n;
			end
			module:hook("message/offline/handle", function () note("message"); end, 2);
			module:context("push.example.test"):hook("iq/host", function (event)
				note(event.stanza.tags[1].tags[1].attr.node);
			end, 1000);
		]]);
		local juliet = client.connect(server, "juliet");
		local before = net.now();
		for i = 1, MESSAGES do
			juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m"..i }, "Romeo "..i));
		end
		juliet:sync();
		return net.now() - before;
	end

	local function is_followed_by_pushes()
		local order = server:eval("return prosody.flood_order");
		return order.message and order.phone and order.tablet and order.phone > order.message and order.tablet > order.message;
	end

	it("cause a few pushes, the last one after the last message", function ()
		start { push_coalesce = true };
		local took = flood();
		net.wait(is_followed_by_pushes, "the push after the last message", 12);
		app:settled();
		-- One push at once, one for each second that the flood took, and one at its end.
		local most = 2 + math.ceil(took);
		assert.is_true(count.phone <= most, count.phone.." pushes in "..took.." s");
		assert.is_true(count.tablet <= most, count.tablet.." pushes in "..took.." s");
	end);

	for what, options in pairs({
		["push_coalesce is off"] = { push_coalesce = false };
		["they have content"] = { push_coalesce = true, push_notification_with_body = true };
	}) do
		it("cause a push each if "..what, function ()
			start(options);
			flood();
			app:expect(2 * MESSAGES);
			app:settled();
			assert.same({ phone = MESSAGES, tablet = MESSAGES }, count);
		end);
	end

	it("cause a push each if another module observes pushes", function ()
		start { push_coalesce = true };
		server:eval("module:hook('cloud_notify/push', function () end)");
		flood();
		app:expect(2 * MESSAGES);
		app:settled();
		assert.same({ phone = MESSAGES, tablet = MESSAGES }, count);
	end);

	it("lose no push in a reload", function ()
		start { push_coalesce = true };
		flood();
		server:reload();
		assert.is_true(is_followed_by_pushes());
	end);
end);

-- Floods: what leaves the server for 500 messages.
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

	-- Number of pushes by node, and the time of the last of each.
	local count, last;
	local function flood()
		count, last = {}, {};
		app.answer = function (iq)
			local node = appserver.read(iq).node;
			count[node] = (count[node] or 0) + 1;
			last[node] = net.now();
			app:send(st.reply(iq));
		end;
		local juliet = client.connect(server, "juliet");
		local before = net.now();
		for i = 1, MESSAGES do
			juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m"..i }, "Romeo "..i));
		end
		juliet:sync();
		local after = net.now();
		return after, after - before;
	end

	it("are a few pushes, the last after the last message", function ()
		start { push_coalesce = true };
		local after, took = flood();
		net.wait(function ()
			return last.phone and last.tablet and last.phone > after and last.tablet > after;
		end, "the push after the last message", 12);
		app:settled();
		-- One at once, one for each second that the flood took, one at its end.
		local most = 2 + math.ceil(took);
		assert.is_true(count.phone <= most, count.phone.." pushes in "..took.." s");
		assert.is_true(count.tablet <= most, count.tablet.." pushes in "..took.." s");
	end);

	for what, options in pairs({
		["push_coalesce is off"] = { push_coalesce = false };
		["they have content"] = { push_coalesce = true, push_notification_with_body = true };
	}) do
		it("are a push each, where "..what, function ()
			start(options);
			flood();
			app:expect(2 * MESSAGES);
			app:settled();
			assert.same({ phone = MESSAGES, tablet = MESSAGES }, count);
		end);
	end

	it("are a push each, where another module sees the pushes", function ()
		start { push_coalesce = true };
		server:eval("module:hook('cloud_notify/push', function () end)");
		flood();
		app:expect(2 * MESSAGES);
		app:settled();
		assert.same({ phone = MESSAGES, tablet = MESSAGES }, count);
	end);

	it("lose nothing in a reload", function ()
		start { push_coalesce = true };
		local after = flood();
		server:reload();
		app:settled();
		assert.is_true(last.phone > after and last.tablet > after);
	end);
end);

-- What the settings of chats cost: a message for a user with 200 bookmarks, 10,000 users in memory, the publish of a bookmark.
--
--   PROFILE=release lua5.4 spec/bench/quiet.lua 13.0
local paths = require "spec.support.paths";
package.cpath = paths.library..";"..package.cpath;
local client = require "spec.support.client";
local prosody = require "spec.support.prosody";
local push2 = require "spec.support.push2";

local USERS, BOOKMARKS = 10000, 200;

local function resident()
	return tonumber(io.open("/proc/self/status"):read("a"):match("VmRSS:%s+(%d+)")) * 1024;
end

-- Bytes that the bookmarks of all users take in the library.
local function memory(each)
	local engine = require "prosody_push".new("example.test", "push", function () end, {}, function (jid) return jid; end, function () end,
		function () end);
	for i = 1, USERS do engine:load("user"..i, { ["push.example<n"] = { jid = "push.example", node = "n", timestamp = 1 } }); end
	local function bookmarks(user)
		local list = {};
		for n = 1, each do
			list[2 * n - 1] = ("room%d.%d@rooms.example.test"):format(user, n);
			list[2 * n] = ({ "N ", "M ", "A ", false })[n % 4 + 1];
		end
		return list;
	end
	-- What Lua itself needs is there before.
	for i = 1, 100 do engine:load_bookmarks(0, 0, "user"..i, bookmarks(i)); end
	collectgarbage();
	local before = resident();
	for i = 101, USERS do
		engine:load_bookmarks(0, 0, "user"..i, bookmarks(i));
		if i % 100 == 0 then collectgarbage(); end
	end
	collectgarbage();
	return (resident() - before) * USERS / (USERS - 100);
end

-- In the server: the least CPU time of a call, in µs, of several rounds; `actions` take turns.
local TIME = [[
	local function time(rounds, times, actions)
		local best = {};
		for _ = 1, rounds do
			for name, action in pairs(actions) do
				collectgarbage();
				local start = os.clock();
				for i = 1, times do action(i); end
				best[name] = math.min(best[name] or math.huge, (os.clock() - start) / times * 1e6);
			end
		end
		return best;
	end
]];

local function messages(server)
	for _, user in ipairs({ "romeo", "juliet" }) do
		local phone = client.connect(server, user, { resource = "phone" });
		phone:enable_push({ jid = "push.example.test", node = "n" });
		phone:iq(push2.iq(push2.enable { service = "push.example.test", push2.match("important") }));
	end
	return server:eval(TIME..[[
		local bookmarks = ...;
		local st = require "util.stanza";
		local function publish(n)
			local service = module:context(module.host):depends "pep".get_pep_service("juliet");
			assert(service:publish("urn:xmpp:bookmarks:1", true, "room"..n.."@rooms.example.test", st.stanza("item", { xmlns =
				"http://jabber.org/protocol/pubsub" }):tag("conference", { xmlns = "urn:xmpp:bookmarks:1" }):tag("extensions")
				:tag("notify", { xmlns = "urn:xmpp:notification-settings:1" }):tag(n % 2 == 0 and "never" or "on-mention"):reset(),
				{ max_items = 256 }));
		end
		for n = 1, bookmarks do publish(n); end
		local origin = { type = "s2sin" };
		local function message(user)
			local n = 0;
			return function ()
				n = n + 1;
				local id = user..n;
				local stanza = st.message({ from = "nurse@elsewhere.example/x", to = user.."@"..module.host, type = "chat", id = id }, "hello");
				module:fire_event("archive-message-added", { origin = origin, stanza = stanza, for_user = user, id = id });
			end
		end
		return time(20, 3000, { without = message("romeo"), with = message("juliet") });
	]], BOOKMARKS);
end

local function publishes(server)
	return server:eval(TIME..[[
		local st = require "util.stanza";
		local service = module:context(module.host):depends "pep".get_pep_service("juliet");
		local function publish(n)
			service:publish("urn:xmpp:bookmarks:1", true, "room"..(n % 200).."@rooms.example.test", st.stanza("item", { xmlns =
				"http://jabber.org/protocol/pubsub" }):tag("conference", { xmlns = "urn:xmpp:bookmarks:1" }):tag("extensions")
				:tag("notify", { xmlns = "urn:xmpp:notification-settings:1" }):tag("never"):reset());
		end
		return time(10, 200, { publish = publish });
	]]).publish;
end

local version, each = ...;
version = version or "13.0";
if version == "memory" then
	print(("%d users with %d bookmarks each: %.1f MB"):format(USERS, each, memory(tonumber(each)) / 1e6));
	return;
end
-- Each in a process of its own: freed memory would be used again.
for _, n in ipairs({ 20, BOOKMARKS }) do os.execute("lua5.4 spec/bench/quiet.lua memory "..n); end
local server = prosody.start { version = version, module = "ours", storage = "memory", log_level = "info", enable = { "pep", "push2" } };
local cost = messages(server);
print(("a message, both modules: %.2f µs for a user without bookmarks, %.2f µs with %d"):format(cost.without, cost.with, BOOKMARKS));
local with = publishes(server);
server:unload("push2");
server:unload("cloud_notify");
local without = publishes(server);
print(("a publish of a bookmark: %.1f µs with both modules, %.1f µs without"):format(with, without));
server:stop();

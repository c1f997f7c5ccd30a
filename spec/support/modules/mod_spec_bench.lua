-- Traffic for the bench, and the CPU time that it takes (spec/bench.lua). Events go to the handlers of the module under
-- test and to no others, so that nothing but it, and the routing of what it sends, is in the figures.
local events = require "util.events";
local modulemanager = require "core.modulemanager";
local pposix = require "util.pposix";
local now, monotonic = require "util.time".now, require "util.time".monotonic;
local promise = require "util.promise";
local st = require "util.stanza";

local clock = os.clock;
local host = module.host;

local bench = {};
prosody.spec_bench = bench;


---- The module under test ----

local own, empty, app;
-- The app server that answers.
local service = "app."..host;
-- CPU seconds in the module's timers so far.
local in_timers = 0;

-- What the module has hooked, with its priorities, on an events object of its own, and an empty handler for each; and a
-- clock in its timers from now on. To be called once all hosts are there. `elsewhere`: a domain where there is an app server, too.
function bench.attach(elsewhere)
	app = prosody.spec_app;
	if elsewhere then
		app.connect(host, elsewhere);
		service = elsewhere;
	end
	own, empty = events.new(), events.new();
	local host_events = prosody.hosts[host].events;
	local tested = modulemanager.get_module(host, "cloud_notify").module;
	local add_timer = tested.add_timer;
	function tested:add_timer(delay, callback, ...)
		return add_timer(self, delay, function (...)
			local start = clock();
			local ret = callback(...);
			in_timers = in_timers + clock() - start;
			return ret;
		end, ...);
	end
	local handlers = tested.event_handlers.data[host_events];
	for name, of_name in pairs(handlers) do
		for handler in pairs(of_name) do
			own.add_handler(name, handler, host_events._event_map[name][handler]);
			empty.add_handler(name, function () end);
		end
	end
end

-- A session of the user that is connected, or hibernates.
local function session(user)
	local _, of_user = next(prosody.hosts[host].sessions[user].sessions);
	return of_user;
end


---- Traffic ----

local serial = 0;

local function id()
	serial = serial + 1;
	return "m"..serial;
end

local function message(user, archive_id)
	local to, n = user.."@"..host, id();
	local stanza = st.message({ to = to, from = "juliet@capulet.example/balcony", type = "chat", id = n }, "But soft, what light?")
		:tag("request", { xmlns = "urn:xmpp:receipts" }):up()
		:tag("markable", { xmlns = "urn:xmpp:chat-markers:0" }):up();
	if archive_id then
		stanza:tag("stanza-id", { xmlns = "urn:xmpp:sid:0", by = to, id = archive_id }):up();
	end
	return stanza;
end

local function chat_state(user, hint)
	local stanza = st.message({ to = user.."@"..host, from = "juliet@capulet.example/balcony", type = "chat", id = id() })
		:tag("composing", { xmlns = "http://jabber.org/protocol/chatstates" }):up();
	return hint and stanza:tag("no-store", { xmlns = "urn:xmpp:hints" }):up() or stanza;
end

local function offline(user, stanza)
	return "message/offline/handle", { username = user, origin = prosody.hosts[host], stanza = stanza };
end

local function archived(user, stanza)
	return "archive-message-added", { origin = prosody.hosts[host], stanza = stanza, for_user = user, id = id() };
end

local queue = {};

local function enable(user, secret)
	local stanza = st.iq({ type = "set", from = user.."@"..host.."/phone", id = id() })
		:tag("enable", { xmlns = "urn:xmpp:push:0", jid = "app."..host, node = "node" })
			:tag("x", { xmlns = "jabber:x:data", type = "submit" })
				:tag("field", { var = "FORM_TYPE" }):text_tag("value", "http://jabber.org/protocol/pubsub#publish-options"):up()
				:tag("field", { var = "secret" }):text_tag("value", secret):up():up():up();
	return "iq-set/self/urn:xmpp:push:0:enable",
		{ origin = { username = user, host = host, resource = "phone", log = function () end, send = function () end }, stanza = stanza };
end

-- Each gives one event and its data.
local traffic = {
	offline = function (user) return offline(user, message(user)); end;
	archive = function (user) return archived(user, message(user)); end;
	queued = function (user)
		local stanza = message(user, id());
		table.insert(queue, stanza);
		-- mod_smacks gives the handlers a copy of the queue; making it is its own cost
		return "smacks-hibernation-stanza-queued", { origin = session(user), queue = queue, stanza = stanza };
	end;
	ping = function (user) return "cloud-notify-ping", { user = user }; end;
	enable = function (user) return enable(user, "a secret of the app server"); end;
	enable_changed = function (user) return enable(user, "secret "..id().." of the app server"); end;
	disable = function (user)
		local stanza = st.iq({ type = "set", from = user.."@"..host.."/phone", id = id() })
			:tag("disable", { xmlns = "urn:xmpp:push:0", jid = "app."..host, node = "nobody's" }):up();
		return "iq-set/self/urn:xmpp:push:0:disable",
			{ origin = { username = user, host = host, resource = "phone", log = function () end, send = function () end }, stanza = stanza };
	end;
	-- What leads to no push.
	chat_state = function (user) return offline(user, chat_state(user, true)); end;
	chat_state_online = function (user)
		return "message/bare", { origin = prosody.hosts[host], stanza = chat_state(user) };
	end;
	message_online = function (user)
		return "message/bare", { origin = prosody.hosts[host], stanza = message(user) };
	end;
	pushed_before = function (user) return offline(user, message(user, "archived")); end;
};


---- Measuring ----

local function sleep(seconds)
	return promise.new(function (resolve)
		module:add_timer(seconds, function () resolve(); end);
	end);
end

local function turns(n)
	return n == 0 or sleep(0):next(function () return turns(n - 1); end);
end

-- When `n` pushes have come; without `n`, when one has come from now on.
local function pushed(n)
	n = n or app.count + 1;
	return promise.new(function (resolve)
		function app.on_push()
			if app.count < n then return; end
			app.on_push = nil;
			resolve();
		end
		app.on_push();
	end);
end

-- The garbage of before is not in the figures; what is made while they are taken is, as Prosody is set to collect it.
local function start_clock()
	collectgarbage();
	return clock();
end

local function make(kind, user, n)
	local names, data = {}, {};
	queue = {};
	for i = 1, n do
		names[i], data[i] = traffic[kind](user);
	end
	return names, data;
end

local function fire(at, names, data)
	local fire_event = at.fire_event;
	for i = 1, #names do
		fire_event(names[i], data[i]);
	end
end

-- A push that costs nothing to make and nothing to look after: a fresh <iq> around a ready subtree, routed to the app server,
-- answered.
local ready = st.stanza("pubsub", { xmlns = "http://jabber.org/protocol/pubsub" });
local ready_mt = getmetatable(ready);
local floors = 0;

local function send_floor()
	floors = floors + 1;
	local attr = { type = "set", id = "floor-of-a-push"..floors, from = host, to = service };
	module:send(setmetatable({ name = "iq"; attr = attr; tags = { ready }; ready }, ready_mt));
end

local function land_floor(event)
	if event.stanza.attr.id:sub(1, 5) == "floor" then return true; end
end

-- CPU seconds of one. As many as it takes for the collector to have its share.
local function floor()
	local n = 2000;
	module:hook("iq/host", land_floor, 100000);
	local start = start_clock();
	for _ = 1, n do send_floor(); end
	local spent = clock() - start;
	module:unhook("iq/host", land_floor);
	return spent / n;
end

local function look() end

-- Whether another module looks at every push.
function bench.watch(on)
	if on then module:hook("cloud_notify/push", look); else module:unhook("cloud_notify/push", look); end
end

-- Makes the traffic `n` times, fires it in one turn of the loop, and waits for so many `pushes`; without a number, for one
-- that comes after it. Gives CPU seconds: of the making; of all the rest, less that of an empty hook; and of as many floors
-- as there were pushes.
function bench.run(kind, user, n, pushes)
	app.reset();
	local start = start_clock();
	local names, data = make(kind, user, n);
	local making = clock() - start;
	start = start_clock();
	fire(empty, names, data);
	local hook = clock() - start;
	start = start_clock();
	local timers = in_timers;
	fire(own, names, data);
	local fired, started = clock() - start, now();
	return pushed(pushes)
		:next(function () return turns(4); end)
		:next(function ()
			-- While a timer was waited for, the server did other things too.
			local waited = now() - started > 0.5;
			local total = waited and fired + in_timers - timers or clock() - start;
			local count, first, last = app.count, app.first, app.last;
			return { total = total - hook; making = making; floor = count > 0 and floor() * count or 0; pushes = count;
				first = first and tostring(first); last = last and tostring(last) };
		end);
end

-- Of the whole process, the start of it and the collector's work included: CPU seconds up to the last answer to `n` events,
-- which come a hundred in a turn of the loop. `part` is "event", or one of the two things that cost the same whatever the module:
-- "making" the event, for an empty hook, and the "floor" of a push. Of both the difference between two lengths is of use.
function bench.whole(part, kind, user, n)
	app.reset();
	local fire_event = (part == "making" and empty or own).fire_event;
	if part == "floor" then module:hook("iq/host", land_floor, 100000); end
	local function one()
		if part == "floor" then return send_floor(); end
		fire_event(traffic[kind](user));
	end
	local function go_on(done)
		for _ = 1, math.min(100, n - done) do one(); end
		if done + 100 < n then return turns(1):next(function () return go_on(done + 100); end); end
		return turns(4);
	end
	return go_on(0):next(function ()
		return { total = clock(), pushes = app.count, first = app.first and tostring(app.first), last = app.last and tostring(app.last) };
	end);
end

-- CPU seconds of `n` times one and the same event that leads to no push, and of as many empty hooks.
function bench.again(kind, user, n)
	queue = {};
	local name, data = traffic[kind](user);
	local function time(fire_event)
		local start = start_clock();
		for _ = 1, n do fire_event(name, data); end
		return clock() - start;
	end
	local pushes = app.count;
	local hook, total = time(empty.fire_event), time(own.fire_event);
	return { total = total; hook = hook; pushes = app.count - pushes };
end

-- CPU seconds, routing included, of an answer while `n` pushes are in flight, the last sent first.
function bench.answers(user, n)
	app.reset();
	app.silent = true;
	fire(own, make("offline", user, n));
	return turns(4):next(function ()
		app.silent = false;
		local pushes = app.unanswered;
		local start = start_clock();
		for i = #pushes, 1, -1 do app.answer(pushes[i]); end
		return turns(4):next(function ()
			return (clock() - start) / #pushes;
		end);
	end);
end

-- CPU seconds of a disable of something that is not enabled, with `n` pushes in flight.
function bench.disables(user, n)
	app.reset();
	app.silent = true;
	fire(own, make("offline", user, n));
	return turns(4):next(function ()
		app.silent = false;
		local names, data = make("disable", user, 100);
		local start = start_clock();
		fire(own, names, data);
		return (clock() - start) / #names;
	end);
end

-- Gives the users from `first` to `last` a registration with a form each, in the store only.
function bench.register(first, last)
	local _, data = traffic.enable("anybody");
	local form = st.preserialize(data.stanza.tags[1].tags[1]);
	local store = module:context(host):open_store("cloud_notify");
	for i = first, last do
		local node = ("0123456789abcdef%08d"):format(i);
		local record = { jid = "app."..host, node = node, options = form, timestamp = os.time(), resource = "phone" };
		assert(store:set("user"..i, { [record.jid.."<"..node] = record }));
	end
end

-- Has the module read the registrations of these users. What it would send is blocked.
function bench.read(first, last)
	local function block() return true; end
	module:hook("cloud_notify/push", block);
	for i = first, last do
		fire(own, make("offline", "user"..i, 1));
	end
	module:unhook("cloud_notify/push", block);
end

-- Bytes in use, Lua's and the library's, after a full collection.
function bench.memory()
	collectgarbage();
	collectgarbage();
	local info = pposix.meminfo();
	return info.used + info.allocated_mmap;
end

function bench.resident()
	for line in io.lines("/proc/self/status") do
		local kilobytes = line:match("^VmRSS:%s+(%d+)");
		if kilobytes then return tonumber(kilobytes) * 1024; end
	end
end


---- Pauses ----

-- Since the last call of longest_turn(): the most seconds between two turns of the event loop, and the most that the process worked
-- between two, which is less where the machine is busy with other things.
local longest, most_work = 0, 0;

-- Has the event loop watched from now on.
function bench.watch_turns()
	local last, last_work = monotonic(), clock();
	module:add_timer(0.001, function ()
		local at, work = monotonic(), clock();
		longest, most_work = math.max(longest, at - last), math.max(most_work, work - last_work);
		last, last_work = at, work;
		return 0.001;
	end);
end

function bench.longest_turn()
	local turn, work = longest, most_work;
	longest, most_work = 0, 0;
	return turn, work;
end

-- A message for each of the users from `first` to `last`, a few in each turn.
function bench.tell(first, last_user)
	local fire_event = own.fire_event;
	local function go_on(from)
		for i = from, math.min(from + 19, last_user) do fire_event(traffic.offline("user"..i)); end
		if from + 20 <= last_user then return turns(1):next(function () return go_on(from + 20); end); end
	end
	return go_on(first);
end

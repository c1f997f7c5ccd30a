-- App servers that are away for hours, while messages go on: each device that was owed a push gets one when its app server is back,
-- and few pushes are tried before. The hours are simulated: the clock is set ahead.
local appserver = require "spec.support.appserver";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local st = require "util.stanza";

local APPS = { "push1.example.test", "push2.example.test", "push3.example.test" };
local AWAY = APPS[1];
local SENDER = "push.example.test";
local DEVICES = 2;
-- Messages for each user, on average: some users get far more, most get fewer.
local MESSAGES = 6;
-- Real seconds of a step, in the full and in the small version. The module's timers fire within 0.05 seconds, and one may start another.
local PACE, SMALL_PACE = 0.12, 0.06;
-- Simulated seconds until the case stops waiting for pushes: the longest time between two probes, and some more for the others.
local PATIENCE = 1200;
-- Pushes that may be tried at an app server that is away: the failures before it is noticed, and the probes of a day.
local MAX_TRIED = 100;

-- The steps of an outage: their number, and the simulated seconds of each. They are short at first, while the outage is noticed and
-- probes follow each other quickly.
local FULL = { { 24, 5 }, { 10, 60 }, { 17, 600 } };
local SMALL = { { 7, 5 }, { 3, 60 }, { 5, 600 } };
-- With fewer users than this, the case runs in its small version, with coarser steps.
local FEWEST_IN_FULL = 500;

-- Each user has devices at different app servers.
local function app_of(user, device)
	return APPS[(user * DEVICES + device) % #APPS + 1];
end

local function name_of(user)
	return "user"..user;
end

local function node_of(user, device)
	return ("device%d-%d"):format(user, device);
end

-- Writes accounts and registrations into the stores, as clients would have made them.
local function register(server, users)
	local records = {};
	for user = 1, users do
		records[name_of(user)] = {};
		for device = 1, DEVICES do
			local jid, node = app_of(user, device), node_of(user, device);
			records[name_of(user)][jid.."<"..node] = { jid = jid, node = node, timestamp = device };
		end
	end
	server:eval([[
		local accounts, registrations = module:open_store("accounts"), module:open_store("cloud_notify");
		for user, of_user in pairs(...) do
			assert(accounts:set(user, { password = "secret" }));
			assert(registrations:set(user, of_user));
		end
	]], records);
end

local function count_registrations(server, users)
	return server:eval([[
		local store, n = module:open_store("cloud_notify"), 0;
		for user = 1, (...) do
			for _ in pairs(store:get("user"..user) or {}) do n = n + 1; end
		end
		return n;
	]], users);
end

-- Prepares the server after each start: it stores no message, counts the pushes to the app server, and answers them with an error if
-- it is told to.
local function prepare(server)
	faulty.clock(server, "cloud_notify");
	server:eval([[
		local st = require "util.stanza";
		local away = ...;
		prosody.spec_tried, prosody.spec_error = 0, false;
		module:hook("message/offline/handle", function () return true; end, -1);
		module:context(away):hook("iq/host", function (event)
			local stanza = event.stanza;
			if stanza.attr.type ~= "set" then return; end
			prosody.spec_tried = prosody.spec_tried + 1;
			if not prosody.spec_error then return; end
			-- As mod_s2s does, in the name of the app server that it cannot reach.
			module:send(st.error_reply(stanza, "cancel", "remote-server-not-found", "Server-to-server connection failed"));
			return true;
		end, 1000);
	]], AWAY);
end

-- begin(world) and finish(world) start and end the outage; again(world) restores the outage after a restart of the server, before any
-- app server is connected; is_absent: the app server is not connected during the outage.
local KINDS = {
	gone = {
		title = "its component is not connected";
		is_absent = true;
		begin = function (world) world.apps[AWAY]:disconnect(); end;
		finish = function (world) world.connect(AWAY); end;
	};
	unreachable = {
		title = "it cannot be reached (cancel/remote-server-not-found by this server)";
		begin = function (world) world.server:eval("prosody.spec_error = true"); end;
		again = function (world) world.server:eval("prosody.spec_error = true"); end;
		finish = function (world) world.server:eval("prosody.spec_error = false"); end;
	};
	silent = {
		title = "it answers nothing";
		begin = function (world) world.refuse = function () end; end;
		finish = function (world) world.refuse = nil; end;
	};
	overloaded = {
		title = "it answers wait/resource-constraint";
		begin = function (world)
			world.refuse = function (iq, app) app:send(st.error_reply(iq, "wait", "resource-constraint")); end;
		end;
		finish = function (world) world.refuse = nil; end;
	};
};

local INTERRUPTIONS = {
	reload = function (world) world.server:reload(); end;
	restart = function (world)
		world.server:restart();
		world.started();
	end;
	["kill -9"] = function (world)
		world.server:kill();
		world.server:restart();
		world.started();
	end;
};

-- interruptions: step of the outage, as a fraction of all steps -> name of the interruption after it.
local function play(kind, interruptions, start, users, progress)
	local is_small = users < FEWEST_IN_FULL;
	local server = start {
		log_level = "error"; disable = { "mam", "offline" };
		components = { [APPS[1]] = "component", [APPS[3]] = "component" }; global = { component_secret = "secret" };
	};
	local began = net.now();
	local world = { server = server, apps = {} };
	-- Simulated seconds by which the clock of the server is ahead, and the pushes that were tried before the last start.
	local ahead, tried_before = 0, 0;
	-- Node of a device -> pushes that its app server accepted after the last message to its user; and whether there was a message.
	local taken, has_to_hear = {}, {};
	local is_away = false;
	local last_at;

	local function simulated()
		return ahead + net.now() - began;
	end

	function world.connect(jid)
		local app = appserver.connect(server, jid);
		world.apps[jid] = app;
		function app.answer(iq)
			if jid == AWAY and world.refuse then return world.refuse(iq, app); end
			local node = appserver.read(iq).node;
			taken[node] = (taken[node] or 0) + 1;
			if jid == AWAY then last_at = simulated(); end
			app:send(st.reply(iq));
		end
	end

	local function tried()
		return tried_before + server:eval("return prosody.spec_tried");
	end

	local sender;
	function world.started()
		prepare(server);
		faulty.ahead(server, ahead);
		if is_away and KINDS[kind].again then KINDS[kind].again(world); end
		sender = appserver.connect(server, SENDER);
		for _, jid in ipairs(APPS) do
			if not (is_away and jid == AWAY and KINDS[kind].is_absent) then world.connect(jid); end
		end
	end

	local random = math.random;
	local due, sent = 0, 0;
	-- Sets the clock ahead, sends messages, and gives the module time to handle them.
	local function step(seconds, messages)
		ahead = ahead + seconds;
		faulty.ahead(server, ahead);
		due = due + (messages or 0);
		local out = {};
		while due >= 1 do
			due, sent = due - 1, sent + 1;
			-- By the square, a twentieth of the users get a fifth of the messages.
			local user = math.floor(users * random() ^ 2) + 1;
			for device = 1, DEVICES do
				local node = node_of(user, device);
				taken[node], has_to_hear[node] = 0, true;
			end
			table.insert(out, ("<message type='chat' id='m%d' from='juliet@%s' to='%s@%s'><body>%d</body></message>")
				:format(sent, SENDER, name_of(user), server.host, sent));
		end
		sender.stream:write(table.concat(out));
		sender:settled();
		local deadline = net.now() + (is_small and SMALL_PACE or PACE);
		net.wait(function () return net.now() > deadline; end, "the end of a step");
		for _, app in pairs(world.apps) do
			if not app.stream.closed then app:settled(); end
			-- The pushes are counted already.
			app.pushes = {};
		end
	end

	register(server, users);
	world.started();

	step(5, users // 10);
	local before = tried();
	KINDS[kind].begin(world);
	is_away = true;
	local out_since = simulated();
	local steps = {};
	for _, part in ipairs(is_small and SMALL or FULL) do
		for _ = 1, part[1] do table.insert(steps, part[2]); end
	end
	local seconds = 0;
	for _, of_step in ipairs(steps) do seconds = seconds + of_step; end
	-- Messages before the outage have been pushed already.
	for node in pairs(has_to_hear) do taken[node], has_to_hear[node] = nil, nil; end
	local interrupted = {};
	for fraction, what in pairs(interruptions) do interrupted[math.ceil(fraction * #steps)] = what; end
	for i, of_step in ipairs(steps) do
		step(of_step, users * MESSAGES * of_step / seconds);
		if interrupted[i] then
			local so_far = server:eval("return prosody.spec_tried");
			INTERRUPTIONS[interrupted[i]](world);
			if interrupted[i] ~= "reload" then tried_before = tried_before + so_far; end
		end
	end
	local tried_meanwhile = tried() - before;
	local hours = (simulated() - out_since) / 3600;

	last_at = nil;
	is_away = false;
	KINDS[kind].finish(world);
	local back_since = simulated();
	-- Counts devices and pushes at the app server that was away, or at the others.
	local function count(away)
		local of, woken, pushes = 0, 0, 0;
		for user = 1, users do
			for device = 1, DEVICES do
				local node = node_of(user, device);
				if (app_of(user, device) == AWAY) == away then
					-- This includes needless pushes to devices without a message.
					pushes = pushes + (taken[node] or 0);
					if has_to_hear[node] then
						of = of + 1;
						if taken[node] > 0 then woken = woken + 1; end
					end
				end
			end
		end
		return of, woken, pushes;
	end
	local of, woken;
	repeat
		-- The first push comes when a probe is due, the others soon after it.
		step(is_small and not last_at and PATIENCE / 4 or is_small and 1 or 5);
		of, woken = count(true);
	until woken == of or simulated() - back_since > PATIENCE;
	local last_after = last_at and last_at - back_since;
	-- Waits for any push that would be repeated.
	for _ = 1, 2 do step(PATIENCE / 2); end

	local pushes, of_others, woken_others;
	of, woken, pushes = count(true);
	of_others, woken_others = count(false);
	local lost = users * DEVICES - count_registrations(server, users);
	local figure = ("%d of %d, %.2f each%s; %d lost; %d tried in %.1f h")
		:format(woken, of, woken > 0 and pushes / woken or 0, last_after and (", the last after %.0f s"):format(last_after) or "",
			lost, tried_meanwhile, hours);
	progress("%d users, %d messages, %.0f s: %s; elsewhere %d of %d", users, sent, net.now() - began, figure, woken_others, of_others);
	assert(of > 0 and woken == of, figure);
	assert(pushes == of, figure);
	assert(lost == 0, figure);
	assert(tried_meanwhile < MAX_TRIED, figure);
	assert(woken_others == of_others, ("%s; elsewhere %d of %d"):format(figure, woken_others, of_others));
	return figure;
end

local COUNTS = "devices woken once it is back, pushes for each, simulated time to the last; registrations lost; pushes tried meanwhile";
local SIZE = { 40, 1000 };

local cases = {};
for _, kind in ipairs({ "gone", "unreachable", "silent", "overloaded" }) do
	table.insert(cases, {
		name = "an app server is away for hours, while messages go on: "..KINDS[kind].title;
		counts = COUNTS; size = SIZE; reference_size = SIZE[2];
		run = function (...) return play(kind, {}, ...); end;
	});
	table.insert(cases, {
		name = "the same with a reload, a restart and a kill -9 meanwhile: "..KINDS[kind].title;
		counts = COUNTS; size = SIZE; only = "ours";
		run = function (...) return play(kind, { [0.3] = "reload", [0.6] = "restart", [0.8] = "kill -9" }, ...); end;
	});
end
return cases;

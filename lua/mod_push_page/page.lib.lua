-- Writes the page. It works without its script: the script only updates the sections that have changed.

local html = module:require "html";
local chart = module:require "chart";
local duration = module:require "prosody_push_hosts".duration;
local now = require "util.time".now;

local KINDS = { "call", "important", "silent" };
local OUTCOMES = { "taken", "refused", "failed", "held", "waited", "owed", "not_sent" };

local function date(at)
	return os.date("%Y-%m-%d %H:%M:%S", math.floor(at));
end

local function ago(at)
	return duration(math.max(now() - at, 0)).." ago";
end

-- Returns text that others have written, isolated from the text around it, whatever its direction.
local function named(text)
	return html.bdi({}, text);
end

-- Returns a section of the page. The script updates a live section when it has changed.
local function section(id, title, is_live, ...)
	return html.section({ id = id, ["data-live"] = is_live }, html.h2({}, title), ...);
end

-- Returns a table of rows of cells, or a sentence if there are no rows. Each row may have a class.
local function rows(heads, list, otherwise)
	if not list[1] then return html.p({ class = "none" }, otherwise); end
	local head, body = {}, {};
	for i, text in ipairs(heads) do head[i] = html.th({ scope = "col" }, text); end
	for i, row in ipairs(list) do
		local cells = {};
		for column, cell in ipairs(row) do cells[column] = html.td({ ["data-head"] = heads[column] }, cell); end
		body[i] = html.tr({ class = row.class }, cells);
	end
	return html.table({}, html.thead({}, html.tr({}, head)), html.tbody({}, body));
end

local function facts(list)
	local cells = {};
	for _, fact in ipairs(list) do
		if fact[2] then cells[#cells + 1] = html.div({}, html.dt({}, fact[1]), html.dd({}, fact[2])); end
	end
	return html.dl({}, cells);
end

-- Returns the button for a change, with the token which shows that our own page asked for it.
local function change(action, token, label, fields)
	local inputs = { html.input({ type = "hidden", name = "token", value = token }) };
	for name, value in pairs(fields or {}) do inputs[#inputs + 1] = html.input({ type = "hidden", name = name, value = value }); end
	return html.form({ method = "post", action = action, class = action }, inputs, html.button({}, label));
end

local function devices(list, err, token)
	if not list then return html.p({ class = "none" }, "Your devices cannot be read now: ", err); end
	if not list[1] then
		return html.p({ class = "none" }, "No client of yours has asked to be woken. Switch push notifications on in the client.");
	end
	local items = {};
	for i, device in ipairs(list) do
		items[i] = html.li({ class = device.never_woken and "device error" or "device" },
			html.h3({}, named(device.identifier)),
			facts {
				{ "App server", named(device.app_server) };
				{ "Protocol", device.protocol };
				{ "Registered", ago(device.made) };
				{ "Last push", device.last and "taken "..ago(device.last) or "none yet, as far as is known" };
				{ "Session", device.session and named(device.session) or "none" };
				{ "Failures", device.refusals > 0 and device.refusals.." in a row" };
				{ "Fails", device.failing_since and "since "..duration(math.max(now() - device.failing_since, 0)) };
				{ "Never woken", device.never_woken };
			},
			html.div({ class = "buttons" },
				change("wake", token, "Wake this device", { device = device.key }),
				change("remove", token, "Remove", { device = device.key })));
	end
	return html.ul({ class = "devices" }, items);
end

local function decisions(list, with_user)
	local heads, cells = with_user and { "When", "User", "Device", "Decision" } or { "When", "Device", "Decision" }, {};
	for i, decision in ipairs(list) do
		local row = { date(decision.at), named(decision.device), decision.text; class = decision.outcome };
		if with_user then table.insert(row, 2, named(decision.user)); end
		cells[i] = row;
	end
	return rows(heads, cells, "Nothing was decided since the module was loaded, or push_explain is off.");
end

local function app_servers(list)
	local cells = {};
	for i, server in ipairs(list) do
		local state = server.away_since and "away since "..date(server.away_since)
			or server.failures > 0 and server.failures.." failures in a row" or "works";
		cells[i] = {
			named(server.jid), server.protocol, state, server.owed, server.last_error or "none";
			class = server.away_since and "error" or server.failures > 0 and "refused" or nil;
		};
	end
	return rows({ "App server", "Protocol", "State", "Owed", "Last error" }, cells, "No app server has answered since the module was loaded.");
end

local function endings(list)
	local cells = {};
	for i, ending in ipairs(list) do
		cells[i] = { date(ending.at), named(ending.user), named(ending.device), named(ending.why) };
	end
	return rows({ "When", "User", "Device", "Why" }, cells, "No registration has ended since the module was loaded.");
end

local function sentences(list, otherwise)
	if not list[1] then return html.p({ class = "none" }, otherwise); end
	local items = {};
	for i, sentence in ipairs(list) do items[i] = html.li({}, named(sentence)); end
	return html.ul({ class = "sentences" }, items);
end

local function answer_times(histories)
	local cells = {};
	for _, history in ipairs(histories) do
		if history.median then
			cells[#cells + 1] = {
				history.protocol, history.answers, ("%.0f ms"):format(history.median * 1000), ("%.0f ms"):format(history.p95 * 1000);
			};
		end
	end
	return rows({ "Protocol", "Answers", "Median", "95 % within" }, cells, "No app server has answered today.");
end

-- Returns the count of a series in the last hour.
local function last_hour(histories, name)
	local sum = 0;
	for _, history in ipairs(histories) do
		for i, series in ipairs(history.series) do
			for _, minute in ipairs(history.minutes) do
				if series == name and minute.ago < 60 then sum = sum + minute.counts[i]; end
			end
		end
	end
	return sum;
end

-- Returns a sentence that shows at a glance whether phones ring.
local function glance(facts_of)
	local taken, refused = last_hour(facts_of.history, "taken"), last_hour(facts_of.history, "refused");
	local failed, away = last_hour(facts_of.history, "failed"), 0;
	for _, server in ipairs(facts_of.app_servers) do
		if server.away_since then away = away + 1; end
	end
	local is_wrong = refused + failed + away > 0;
	return html.p({ class = is_wrong and "glance error" or taken > 0 and "glance taken" or "glance" },
		("In the last hour app servers took %d pushes and refused %d; %d did not get there. %d app servers are away.")
			:format(taken, refused, failed, away));
end

-- Returns the administrator's half of the page.
local function administration(facts_of, token)
	return {
		section("charts", "The last day", true,
			chart(html, "Pushes a minute, by kind", KINDS, facts_of.history),
			chart(html, "Pushes a minute, by outcome", OUTCOMES, facts_of.history),
			html.h3({}, "Time to answer, of the last answers"), answer_times(facts_of.history)),
		section("app-servers", "App servers", true, app_servers(facts_of.app_servers)),
		section("settings", "What keeps phones from ringing", false,
			sentences(facts_of.settings, "Nothing in the configuration."),
			change("check", token, "Ask the app servers, too")),
		section("endings", "Registrations that ended", true, endings(facts_of.endings)),
	};
end

-- Returns the result of a change, which has a fate, a text and a hint.
local function answer(result)
	return html.p({ id = "answer", role = "status", class = result and result.fate },
		result and { html.strong({}, named(result.text)), " ", result.hint });
end

-- facts_of: host, user, token; devices and err; decisions; for administrators also is_admin, filter, history, app_servers, endings
-- and settings. result: the result of a change, if there was one.
return function (facts_of, result)
	local is_admin = facts_of.is_admin;
	return html.document(html.html({ lang = "en" },
		html.head({},
			html.meta({ charset = "utf-8" }),
			html.title({}, "Push notifications of ", facts_of.host),
			html.meta({ name = "viewport", content = "width=device-width, initial-scale=1" }),
			html.meta({ name = "color-scheme", content = "light dark" }),
			html.link({ rel = "icon", href = "icon.svg" }),
			html.link({ rel = "stylesheet", href = "page.css" }),
			html.script({ src = "page.js", defer = true })),
		html.body({},
			html.header({}, html.h1({}, "Push notifications"), html.p({}, named(facts_of.user.."@"..facts_of.host))),
			html.main({},
				is_admin and section("now", "Do phones ring?", true, glance(facts_of)),
				section("devices", "Your devices", true, devices(facts_of.devices, facts_of.err, facts_of.token)),
				answer(result),
				is_admin and administration(facts_of, facts_of.token),
				is_admin and html.form({ method = "get", action = "./", class = "filter" },
					html.label({}, "Decisions for the user ", html.input({ name = "user", value = facts_of.filter or "" })),
					html.button({}, "Show")),
				section("decisions", is_admin and "The last decisions" or "The last decisions for your devices", true,
					decisions(facts_of.decisions, is_admin))))));
end

-- A page for administrators and for users, and its facts as JSON for scripts, at /push. Off unless it is enabled.

local formdecode = require "util.http".formdecode;
local json = require "util.json";
local loader = require "core.modulemanager".loader;
local promise = require "util.promise";

if module:get_host_type() ~= "local" then
	error(("mod_%s needs a host with user accounts, and %s has none: take it out of this host's modules_enabled.")
		:format(module.name, module.host), 0);
end

local access = module:require "access";
local api = module:require "api";
local write_page = module:require "page";

module:depends("http");

-- The longest body of a request, in bytes. Our own forms are much shorter.
local LONGEST_BODY = 16 * 1024;

local HEADERS = {
	cache_control = "no-store";
	content_security_policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
		.."form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
	cross_origin_resource_policy = "same-origin";
	referrer_policy = "no-referrer";
	x_content_type_options = "nosniff";
	x_frame_options = "DENY";
};

local function response(status, content_type, body, more)
	local headers = { content_type = content_type.."; charset=utf-8" };
	for name, value in pairs(HEADERS) do headers[name] = value; end
	for name, value in pairs(more or {}) do headers[name] = value; end
	return { status_code = status, headers = headers, body = body };
end

local function as_json(value, status)
	return response(status or 200, "application/json", json.encode(value));
end

local function wants_json(request)
	return (request.headers.accept or ""):find("application/json", 1, true) ~= nil;
end

-- Returns a refusal with its reason: for a script in JSON, for a person in plain text.
local function refusal(request, status, sentence, headers)
	if wants_json(request) or request.path:find("/api/", 1, true) then
		return response(status, "application/json", json.encode({ error = sentence }), headers);
	end
	return response(status, "text/plain", sentence.."\n", headers);
end

-- Returns the page for the caller. `result`: the result of a change, if there was one.
local function page(request, caller, result)
	local query = formdecode(request.url and request.url.query or "");
	local filter = caller.is_admin and type(query) == "table" and query.user ~= "" and query.user or nil;
	local token, cookie = access.new_token(request, caller.user);
	local facts = { host = module.host; user = caller.user; is_admin = caller.is_admin; token = token; filter = filter };
	facts.devices, facts.err = api.devices(caller.user);
	if caller.is_admin then
		local shown = filter and api.user_of(filter);
		facts.decisions = filter and not shown and {} or api.decisions(shown);
		facts.history, facts.app_servers, facts.endings = api.history(), api.app_servers(), api.endings();
		facts.settings = api.settings();
	else
		facts.decisions = api.decisions(caller.user);
	end
	return response(200, "text/html", write_page(facts, result), { set_cookie = cookie });
end

-- Calls handler(request, caller) if the caller is authenticated. A fault is logged, and its answer has all the headers, too.
local function guarded(handler)
	local function handle(request)
		local caller, status, sentence, headers = access.who(request);
		if not caller then return refusal(request, status, sentence, headers); end
		return handler(request, caller);
	end
	return function (event)
		local request = event.request;
		local function fails(err)
			module:log("error", "A fault in the page: %s", err);
			return refusal(request, 500, "This failed on the server, which has it in its log.");
		end
		local ok, answer = xpcall(handle, debug.traceback, request);
		if not ok then return fails(answer); end
		return promise.is_promise(answer) and answer:catch(fails) or answer;
	end;
end

local function for_admin(handler)
	return guarded(function (request, caller)
		if not caller.is_admin then return refusal(request, 403, "Only administrators of this host may see that."); end
		return handler(request, caller);
	end);
end

-- A change: the request has to come from our own page. action(caller, fields) returns a promise of its result, or nil and an error.
local function change(action, is_for_admin)
	return (is_for_admin and for_admin or guarded)(function (request, caller)
		local body = request.body or "";
		if #body > LONGEST_BODY then return refusal(request, 413, "The request is too long."); end
		local fields = formdecode(body);
		if type(fields) ~= "table" then fields = {}; end
		if not access.is_own(request, caller.user, fields.token) then
			return refusal(request, 403, "The page is too old, or another site asked for this: load the page anew.");
		end
		local done, err = action(caller, fields);
		if not done then return refusal(request, 404, tostring(err)); end
		return done:next(function (result)
			if wants_json(request) then return as_json(result); end
			return page(request, caller, result);
		end);
	end);
end

local function static(name, content_type)
	local text = assert(loader:load_resource(module.name, name), name.." is not there: install prosody-push again");
	return function () return response(200, content_type, text); end;
end

local function wake(caller, fields)
	return api.wake(caller.user, fields.device or "");
end

local function remove(caller, fields)
	return api.remove(caller.user, fields.device or "");
end

local function check()
	return api.check():next(function (checked)
		local found = checked.found;
		if found[1] then return { fate = "error"; text = table.concat(found, " "); hint = ""; found = found }; end
		return { fate = "taken"; text = "Nothing keeps phones from ringing."; hint = checked.asked.." app servers answered."; found = found };
	end);
end

-- A user sees only their own decisions. An administrator sees those of all users, or of one.
local decisions = guarded(function (request, caller)
	local query = formdecode(request.url and request.url.query or "");
	local typed = type(query) == "table" and query.user or nil;
	if not typed then return as_json(api.decisions(not caller.is_admin and caller.user or nil)); end
	local user = api.user_of(typed);
	if not caller.is_admin and user ~= caller.user then
		return refusal(request, 403, "Only administrators of this host may see that.");
	end
	if not user then return refusal(request, 404, "There is no such user on this host."); end
	return as_json(api.decisions(user));
end);

local function facts_for_admin(facts)
	return for_admin(function () return as_json(facts()); end);
end

module:provides("http", {
	name = "push_page";
	default_path = "/push";
	-- No other site's script reads anything here, whatever mod_http allows for other modules.
	cors = { enabled = false };
	route = {
		["GET /"] = guarded(page);
		["GET /page.css"] = static("page.css", "text/css");
		["GET /icon.svg"] = static("icon.svg", "image/svg+xml");
		["GET /page.js"] = static("page.js", "text/javascript");
		["POST /wake"] = change(wake);
		["POST /remove"] = change(remove);
		["POST /check"] = change(check, true);
		["GET /api/devices"] = guarded(function (request, caller)
			local list, err = api.devices(caller.user);
			if not list then return refusal(request, 503, "The devices cannot be read now: "..tostring(err)); end
			return as_json(list);
		end);
		["GET /api/decisions"] = decisions;
		["GET /api/history"] = facts_for_admin(api.history);
		["GET /api/app-servers"] = facts_for_admin(api.app_servers);
		["GET /api/endings"] = facts_for_admin(api.endings);
		["GET /api/check"] = for_admin(function () return api.check():next(as_json); end);
	};
});

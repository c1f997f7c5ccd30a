-- The data that a user's clients keep for each other in PEP (XEP-0163): bookmarks (XEP-0402) with the settings for chats (XEP-0492),
-- and the newest message of each chat that was read (XEP-0490).

local time = require "util.time";

local now, monotonic = time.now, time.monotonic;

local xmlns_bookmarks, xmlns_displayed = "urn:xmpp:bookmarks:1", "urn:xmpp:mds:displayed:0";

local full_sessions = prosody.full_sessions;
local modules = prosody.hosts[module.host].modules;

-- mod_pep's own store: the user's nodes, by name.
local known_nodes = module:open_store("pep");

-- Returns the user's bookmarks, by the id of the item; nil and an error if they cannot be read. mod_pep treats a store that it cannot
-- read as one without nodes, and raises an error if it cannot read items.
local function read_bookmarks(user)
	local ok, found, items = pcall(function ()
		return modules.pep.get_pep_service(user):get_items(xmlns_bookmarks, true);
	end);
	if not ok then return nil, found; end
	if found then return items; end
	if items ~= "item-not-found" then return nil, items; end
	local nodes, err = known_nodes:get(user);
	if err or nodes and nodes[xmlns_bookmarks] then return nil, err or "mod_pep could not read the node"; end
	return {};
end

-- engine; facts_about: prosody_push_facts.lib.lua's; guarded: prosody_push.lib.lua's; read(user, session, chat, word, extracts):
-- handles a read report of a session, which is nil if it is not known.
return function (engine, facts_about, guarded, read)
	local trouble;

	-- Gives the engine the user's bookmarks. Without mod_pep there are none.
	local function load_bookmarks(user)
		if not modules.pep then return; end
		local items, err = read_bookmarks(user);
		if not items and err ~= trouble then
			module:log("error", "Bookmarks cannot be read, first those of %s: %s. Until they can be read, nobody is silenced.", user, err);
		end
		trouble = not items and err or nil;
		local bookmarks = items and {};
		for i, id in ipairs(items or {}) do
			local _, extracts = facts_about.said(user, items[id]);
			bookmarks[2 * i - 1], bookmarks[2 * i] = id, extracts or false;
		end
		engine:load_bookmarks(now(), monotonic(), user, bookmarks);
	end

	-- Returns the number of items that a node keeps. It drops older ones without an event.
	local function most_items(service, node)
		local config = service.nodes[node] and service.nodes[node].config;
		return config and tonumber(config.max_items) or service.config.max_items or 256;
	end

	local function changed(event)
		if event.node == xmlns_bookmarks then engine:bookmarks_changed(event.service.config.pep_username); end
	end

	local handlers = {
		["item-published/"..xmlns_bookmarks] = function (event)
			local user = event.service.config.pep_username;
			local _, extracts = facts_about.said(user, event.item);
			engine:on_bookmark(user, event.id, extracts, most_items(event.service, xmlns_bookmarks));
		end;
		["item-published/"..xmlns_displayed] = function (event)
			local user = event.service.config.pep_username;
			local session = full_sessions[event.actor];
			if session then session.last_activity = os.time(); end
			local word, extracts = facts_about.said(user, event.item);
			if extracts then read(user, session, event.id, word, extracts); end
		end;
		["item-retracted"] = function (event)
			if event.node == xmlns_bookmarks then engine:on_bookmark_retracted(event.service.config.pep_username, event.id); end
		end;
		["node-purged"] = changed;
		["node-deleted"] = changed;
	};
	for name, handler in pairs(handlers) do handlers[name] = guarded("what is in a user's PEP", handler); end

	-- Users may be loaded before mod_pep is, at the start or while it is reloaded.
	module:hook("module-loaded", guarded("the bookmarks of users in memory", function (event)
		if event.module == "pep" then engine:bookmarks_can_be_read(); end
	end));

	-- mod_pep makes the service of a user at its first use, and drops the services that were not used for longest.
	module:handle_items("pep-service", guarded("the start of a user's PEP", function (event)
		for name, handler in pairs(handlers) do module:hook_object_event(event.item.service.events, name, handler); end
	end), guarded("the end of a user's PEP", function (event)
		for name, handler in pairs(handlers) do module:unhook_object_event(event.item.service.events, name, handler); end
	end));

	return { load_bookmarks = load_bookmarks };
end

-- Finds out whether other code can change a push after we send it. The engine keeps the function. The function must not refer to this
-- module, so it names no global.

local next = next;
local hosts = prosody.hosts;
local own = hosts[module.host];
local handlers = own.events._event_map;

-- The priorities of mod_s2s's own two handlers.
local OF_S2S = { [-1] = true, [-10] = true };
-- The priority of mod_smacks's filter, which keeps a copy.
local OF_SMACKS = -999;

local function is_routed_by_others()
	for _, priority in next, handlers["route/remote"] or {} do
		if not OF_S2S[priority] then return true; end
	end
	return false;
end

local function is_filtered(session)
	local filters = session and session.filters and session.filters["stanzas/out"];
	for i = 1, filters and #filters or 0 do
		if filters[filters[i]] ~= OF_SMACKS then return true; end
	end
	return false;
end

-- Whether other code can change a stanza sent to this domain, or keep it. A component of this server can do both. Another server
-- gets only the text of a stanza, and mod_s2s queues a copy.
return function (domain)
	return hosts[domain] ~= nil or is_routed_by_others() or is_filtered(own.s2sout[domain]);
end

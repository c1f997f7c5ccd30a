-- Who can write into a push on its way. The engine keeps the function that tells it, which must not lead back to this module: it
-- names no global.

local next = next;
local hosts = prosody.hosts;
local own = hosts[module.host];
local handlers = own.events._event_map;

-- mod_s2s's own two handlers, by their priorities.
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

-- Whether somebody can write into what is sent to a domain, or keep it. A component of this server can. Another server gets the
-- text of a stanza, and mod_s2s queues a copy.
return function (domain)
	return hosts[domain] ~= nil or is_routed_by_others() or is_filtered(own.s2sout[domain]);
end

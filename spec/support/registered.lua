-- A user's registrations on a server.
local registered = {};

-- Returns the identifiers in a table of the store, sorted.
function registered.identifiers(records)
	local names = {};
	for name in pairs(records or {}) do names[#names + 1] = name; end
	table.sort(names);
	return names;
end

-- Returns the registration that each session holds, by resource.
function registered.bound(server, user)
	return server:eval([[
		local found = {};
		local user = prosody.hosts[module.host].sessions[...];
		for resource, session in pairs(user and user.sessions or {}) do
			found[resource] = session.push_identifier or (session.push_settings and "settings without identifier") or "none";
		end
		return found;
	]], user);
end

return registered;

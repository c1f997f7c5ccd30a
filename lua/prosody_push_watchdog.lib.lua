-- The watchdog that mod_smacks sets on a hibernating session: a patient one while a push may still bring the client
-- back.

local watchdog = require "util.watchdog";

-- session -> mod_smacks's own watchdog, while another keeps its place
local own_dogs = setmetatable({}, { __mode = "k" });

-- Never shorter than mod_smacks's own timeout.
local function extend(session, timeout)
	local own = session.hibernating_watchdog;
	if not own or own_dogs[session] then return; end
	own:cancel();
	own_dogs[session] = own;
	session.hibernating_watchdog = watchdog.new(math.max(timeout, own.timeout), function ()
		-- 13.0 listens only to the dog that the session has now.
		return own.callback(session.hibernating_watchdog);
	end);
end

-- mod_smacks's own timeout, from now.
local function restore(session)
	local own, current = own_dogs[session], session.hibernating_watchdog;
	own_dogs[session] = nil;
	if not own or not current then return; end
	current:cancel();
	session.hibernating_watchdog = watchdog.new(own.timeout, own.callback);
end

-- mod_smacks has let the dog go.
local function forget(session)
	own_dogs[session] = nil;
end

return { extend = extend, restore = restore, forget = forget };

-- The watchdog that mod_smacks sets on a hibernating session: a patient one while a push may still bring the client
-- back, and one that wakes the client before it lets the session end.

local watchdog = require "util.watchdog";

-- max_hibernation and wake_before are seconds; wake(session) is called that long before the end, if it is not 0.
return function (max_hibernation, wake_before, wake)
	-- session -> mod_smacks's own watchdog, while another keeps its place
	local own_dogs = setmetatable({}, { __mode = "k" });
	-- session -> timer
	local alarms = setmetatable({}, { __mode = "k" });

	local function silence(session)
		if alarms[session] then alarms[session]:stop(); end
		alarms[session] = nil;
	end

	local function set(session, timeout, callback)
		silence(session);
		session.hibernating_watchdog:cancel();
		session.hibernating_watchdog = watchdog.new(timeout, callback);
		if session.push_identifier and wake_before > 0 and wake_before < timeout then
			alarms[session] = module:add_timer(timeout - wake_before, function ()
				alarms[session] = nil;
				wake(session);
			end);
		end
	end

	-- Never shorter than mod_smacks's own timeout.
	local function extend(session)
		local own = session.hibernating_watchdog;
		if not own or own_dogs[session] then return; end
		own_dogs[session] = own;
		set(session, math.max(max_hibernation, own.timeout), function ()
			-- 13.0 listens only to the dog that the session has now.
			return own.callback(session.hibernating_watchdog);
		end);
	end

	-- mod_smacks's own timeout, from now.
	local function restore(session)
		silence(session);
		local own = own_dogs[session];
		own_dogs[session] = nil;
		if own and session.hibernating_watchdog then
			set(session, own.timeout, own.callback);
		end
	end

	-- mod_smacks has let the dog go.
	local function forget(session)
		silence(session);
		own_dogs[session] = nil;
	end

	return { extend = extend, restore = restore, forget = forget };
end

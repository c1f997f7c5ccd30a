-- The watchdog that mod_smacks sets on a hibernating session. While a push may still bring the client back, an extended watchdog
-- takes its place, and fires an event that wakes the client before the session ends. All modules share one extended watchdog per
-- session: the first holder installs it, the last one removes it.

local timer = require "util.timer";

local WAKE = "prosody-push/wake";

-- session -> own: mod_smacks's watchdog, while the extended one replaces it; holders: names of modules; alarm: timer
local watches = setmetatable(module:shared("/"..module.host.."/prosody_push/watches"), { __mode = "k" });

-- max_hibernation and wake_before are in seconds. wake(session) is called `wake_before` seconds before the end, unless that is 0.
return function (max_hibernation, wake_before, wake)
	local me = module.name;

	-- Like util.watchdog. In 0.12, util.watchdog keeps the timer of a cancelled watchdog, and so the session, until the timer fires days
	-- later. That is one timer for each hibernation.
	local function new_dog(session, timeout, callback)
		local dog = { timeout = timeout, callback = callback };
		local function stop()
			if dog.timer_id then timer.stop(dog.timer_id); end
			dog.timer_id = nil;
		end
		function dog:cancel() -- luacheck: ignore 212/self
			stop();
			-- mod_smacks cancels the watchdog before it checks whether the session can be resumed. If not, nothing else ends the session.
			timer.add_task(0, function ()
				if session.hibernating and not session.destroyed and not session.hibernating_watchdog then
					session.hibernating_watchdog = dog;
					dog:reset();
				end
			end);
		end
		function dog:reset(new_timeout)
			stop();
			self.timeout = new_timeout or self.timeout;
			self.timer_id = timer.add_task(self.timeout + 1, function () return self:callback(); end);
		end
		dog:reset();
		return dog;
	end

	local function silence(watch)
		if watch.alarm then timer.stop(watch.alarm); end
		watch.alarm = nil;
	end

	local function set(session, watch, timeout, callback)
		silence(watch);
		if session.hibernating_watchdog then session.hibernating_watchdog:cancel(); end
		session.hibernating_watchdog = new_dog(session, timeout, callback);
		if wake_before > 0 and wake_before < timeout then
			watch.alarm = timer.add_task(timeout - wake_before, function ()
				watch.alarm = nil;
				module:fire_event(WAKE, { session = session });
			end);
		end
	end

	module:hook(WAKE, function (event) wake(event.session); end);

	-- The extended timeout is never shorter than mod_smacks's own.
	local function extend(session)
		local watch = watches[session] or { holders = {} };
		if not watch.own then
			local own = session.hibernating_watchdog;
			if not own then return; end
			watch.own = own;
			watches[session] = watch;
			set(session, watch, math.max(max_hibernation, own.timeout), function ()
				-- 13.0 accepts only the watchdog that the session has now.
				return own.callback(session.hibernating_watchdog);
			end);
		end
		watch.holders[me] = true;
	end

	local function holds(session)
		local watch = watches[session];
		return watch and watch.holders[me] or false;
	end

	-- Restarts mod_smacks's own timeout, if no other module holds the session.
	local function restore(session)
		if not holds(session) then return; end
		local watch = watches[session];
		watch.holders[me] = nil;
		if next(watch.holders) then return; end
		local own = watch.own;
		watch.own = nil;
		silence(watch);
		if session.hibernating and not session.destroyed then set(session, watch, own.timeout, own.callback); end
	end

	-- mod_smacks has cancelled the watchdog.
	local function forget(session)
		if watches[session] then silence(watches[session]); end
		watches[session] = nil;
	end

	-- A session whose client binds its resource again ends while it hibernates.
	module:hook("resource-unbind", function (event) forget(event.session); end);

	return { extend = extend, holds = holds, restore = restore, forget = forget };
end

-- push_wake_on_start: after a restart of the server every phone has lost its session and its rooms, and does not know it. All phones
-- are woken, spread over a minute.

local slices = module:require "prosody_push_slices";

-- The seconds over which devices are woken, and the most steps in which this is done.
local SPREAD, TIMES = 60, 6000;

-- push: the table that prosody_push.lib.lua returns.
return function (push)
	if not push.engine:wake_on_start() or prosody.start_time then return; end

	local function wake_all()
		local pause, users, woken = slices.new(), {}, 0;
		for user in push.users() do
			users[#users + 1] = user;
			pause();
		end
		module:log("info", "Waking the devices of up to %d users, who lost their sessions when the server stopped", #users);
		local wake = push.background("waking devices after the start", push.wake_after_start);
		local at_a_time = math.ceil(#users / TIMES);
		module:add_timer(0, function ()
			for i = woken + 1, math.min(woken + at_a_time, #users) do wake(users[i]); end
			woken = woken + at_a_time;
			return woken < #users and SPREAD * at_a_time / #users or nil;
		end);
		return true;
	end

	module:hook_global("server-started", function () push.retry.until_done("waking devices after the start", wake_all); end);
end

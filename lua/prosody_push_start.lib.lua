-- push_wake_on_start: after a restart of the server every phone has lost its session and its rooms, and does not know it. All phones
-- are woken, spread over a minute.

local SPREAD = 60;

-- push: the table that prosody_push.lib.lua returns.
return function (push)
	if not push.engine:wake_on_start() or prosody.start_time then return; end

	local function wake_all()
		local users = {};
		for user in push.users() do users[#users + 1] = user; end
		module:log("info", "Waking the devices of up to %d users, who lost their sessions when the server stopped", #users);
		local wake = push.background("waking devices after the start", push.wake_after_start);
		for i, user in ipairs(users) do
			module:add_timer(SPREAD * (i - 1) / #users, function () wake(user); end);
		end
	end

	module:hook_global("server-started", push.background("waking devices after the start", wake_all));
end

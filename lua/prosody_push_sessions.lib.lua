-- The sessions of this host's users: which registration each holds, and whether its client answers.

local identifier_field = module:require "prosody_push_protocol".identifier;
local states = module:require "prosody_push_loader".session_states;

local host_sessions = prosody.hosts[module.host].sessions;

-- 13.0 reads words, too; both take none for 30 seconds.
local reports_late_acks = module:get_option_number("smacks_max_ack_delay", 30) > 0;

-- The user's sessions, by resource.
local function of(user)
	local of_user = host_sessions[user];
	return of_user and of_user.sessions or {};
end

-- Whether an ack is overdue. mod_smacks tells so once, asks for no other meanwhile, and gives the session up minutes later.
local function is_late(session)
	return reports_late_acks and session.awaiting_ack and not session.delayed_ack_timer and not session.hibernating or false;
end

local function state_of(session)
	if session.hibernating then return states.hibernates; end
	if is_late(session) then return states.late; end
	local queue = session.smacks and session.outgoing_stanza_queue;
	return queue and queue:count_unacked() == 0 and states.in_use or states.connected;
end

-- How it is with the sessions that hold registrations, whoever wrote that there, as the library reads it; `except` is left out.
local function held(user, except)
	local of_user, written = host_sessions[user], nil;
	if not of_user then return nil; end
	for _, session in next, of_user.sessions do
		local identifier = session ~= except and session[identifier_field];
		if identifier then
			local entry = state_of(session)..identifier;
			written = written and written.."\0"..entry or entry;
		end
	end
	return written;
end

-- Each session of the host.
local function each()
	return coroutine.wrap(function ()
		for _, of_user in pairs(host_sessions) do
			for _, session in pairs(of_user.sessions) do coroutine.yield(session); end
		end
	end);
end

return { of = of, each = each, held = held, is_late = is_late };

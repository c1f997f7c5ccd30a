-- The sessions of this host's users: which registration each holds, and whether its client answers.

local identifier_field = module:require "prosody_push_protocol".identifier;
local states = module:require "prosody_push_loader".session_states;

local host_sessions = prosody.hosts[module.host].sessions;

-- As mod_smacks reads it. COMPAT 0.12 has no get_option_period.
local get_period = module.get_option_period or module.get_option_number;
local reports_late_acks = (get_period(module, "smacks_max_ack_delay", 30) or 30) > 0;

-- The user's sessions, by resource.
local function of(user)
	local of_user = host_sessions[user];
	return of_user and of_user.sessions or {};
end

-- Whether an ack is overdue. mod_smacks reports this once, requests no other ack meanwhile, and ends the session minutes later.
local function is_late(session)
	return reports_late_acks and session.awaiting_ack and not session.delayed_ack_timer and not session.hibernating or false;
end

local function state_of(session)
	if session.hibernating then return states.hibernates; end
	if is_late(session) then return states.late; end
	local queue = session.smacks and session.outgoing_stanza_queue;
	return queue and queue:count_unacked() == 0 and states.in_use or states.connected;
end

-- Writes the state of each session that holds a registration in the library's form. Sessions for which state(session) returns
-- nothing are left out.
local function write(user, state)
	local of_user, written = host_sessions[user], nil;
	if not of_user then return nil; end
	for _, session in next, of_user.sessions do
		local identifier = session[identifier_field];
		local letter = identifier and state(session);
		if letter then
			local entry = letter..identifier;
			written = written and written.."\0"..entry or entry;
		end
	end
	return written;
end

-- The state of the sessions that hold registrations, except the session `except`.
local function held(user, except)
	return write(user, except and function (session) return session ~= except and state_of(session); end or state_of);
end

-- The same, only for sessions that receive presence for the user. If an ack is late, the filter of prosody_push_smacks.lib.lua sees
-- the presence, so the session counts as hibernating.
local function available(user)
	return write(user, function (session)
		return session.presence and (is_late(session) and states.hibernates or state_of(session));
	end);
end

-- The registrations that are held by sessions whose clients answer, as a set.
local function answering(user)
	local identifiers = {};
	for _, session in next, of(user) do
		local identifier = session[identifier_field];
		if identifier and not session.hibernating and not is_late(session) then identifiers[identifier] = true; end
	end
	return identifiers;
end

-- Each session of the host.
local function each()
	return coroutine.wrap(function ()
		for _, of_user in pairs(host_sessions) do
			for _, session in pairs(of_user.sessions) do coroutine.yield(session); end
		end
	end);
end

return { of = of, each = each, held = held, available = available, answering = answering, is_late = is_late };

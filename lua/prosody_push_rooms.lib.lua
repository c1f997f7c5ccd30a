-- The nicknames of the user's sessions in rooms (XEP-0045). A room reflects a message of one session to all of them.

local jid_bare, jid_resource = require "util.jid".bare, require "util.jid".resource;

local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

local full_sessions = prosody.full_sessions;

-- session -> occupant ids (XEP-0421), by room
local occupants = setmetatable(module:shared("/"..module.host.."/prosody_push/occupants"), { __mode = "k" });

-- Whether the session has sent presence to the room. Without this check a stranger could make the session look joined.
local function has_asked(session, room)
	for address in pairs(session.directed or {}) do
		if jid_bare(address) == room then return true; end
	end
	return false;
end

-- Status 110: the presence is the occupant's own, under the nickname that the room has given.
local function is_self_presence(x)
	for status in x:childtags("status") do
		if status.attr.code == "110" then return true; end
	end
	return false;
end

-- Notes the rooms that a session has joined in the field of mod_track_muc_joins, by room, because other modules read it, too. No
-- nickname means that the session has left.
local function note(session, room, nick, id)
	session.rooms_joined = session.rooms_joined or {};
	session.rooms_joined[room] = nick;
	if id and not occupants[session] then occupants[session] = {}; end
	if occupants[session] then occupants[session][room] = id; end
end

local function track(event)
	local stanza = event.stanza;
	local session = full_sessions[stanza.attr.to];
	local x = session and stanza:get_child("x", xmlns_muc_user);
	if not x or stanza.attr.type and stanza.attr.type ~= "unavailable" then return; end
	local room, nick = jid_bare(stanza.attr.from), jid_resource(stanza.attr.from);
	if not is_self_presence(x) or not has_asked(session, room) then return; end
	if stanza.attr.type then return note(session, room); end
	local occupant = stanza:get_child("occupant-id", "urn:xmpp:occupant-id:0");
	note(session, room, nick, occupant and occupant.attr.id);
end

return {
	track = track;
	nick = function (session, room) return session.rooms_joined and session.rooms_joined[room]; end;
	occupant = function (session, room) return occupants[session] and occupants[session][room]; end;
};

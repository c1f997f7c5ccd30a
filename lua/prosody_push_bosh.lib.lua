-- BOSH (XEP-0124): the stanzas that a client without stream management has not fetched when its session ends.

local parse = require "util.xml".parse;
local concat, max = table.concat, math.max;

-- As many as mod_smacks keeps by default, the newest ones: a client that is away for a minute may miss thousands.
local MOST = 500;

local NAMESPACES = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";

local function add_stanzas(found, text)
	local body = parse(text);
	for _, stanza in ipairs(body and body.tags or {}) do
		if stanza.attr.xmlns == "jabber:client" then found[#found + 1] = stanza; end
	end
end

-- mod_bosh keeps text: in `send_buffer` what no request was open for, in `bosh_responses` its answers, by the number of the request.
-- A client that has an answer asks again, so only the answer to its last request may not have arrived.
local function unfetched(session)
	local buffer, answers, found = session.send_buffer, session.bosh_responses, {};
	local answer = answers and answers[session.rid];
	if answer then add_stanzas(found, answer); end
	if buffer and buffer[1] then
		add_stanzas(found, ("<body %s>%s</body>"):format(NAMESPACES, concat(buffer, "", max(1, #buffer - MOST + 1))));
	end
	return found;
end

return { unfetched = unfetched };

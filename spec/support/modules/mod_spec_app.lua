-- An app server in the process, for benches: takes every push, answers it at once unless it is told to keep the answers or is away,
-- and has the pushes checked by what it keeps: how many came, the first and the last.
local st = require "util.stanza";

local app = { count = 0, silent = false, is_away = module:get_option_boolean("spec_app_is_away", false), unanswered = {} };
prosody.spec_app = app;

function app.reset()
	app.count, app.first, app.last, app.unanswered = 0, nil, nil, {};
end

function app.answer(iq)
	prosody.hosts[iq.attr.from].send(st.reply(iq));
end

local function take(iq, send)
	app.count = app.count + 1;
	app.first, app.last = app.first or iq, iq;
	if app.on_push then app.on_push(); end
	if app.is_away then
		send(st.error_reply(iq, "wait", "remote-server-timeout"));
	elseif app.silent then
		table.insert(app.unanswered, iq);
	else
		send(st.reply(iq));
	end
	return true;
end

module:hook("iq/host", function (event)
	return take(event.stanza, event.origin.send);
end, 1000);

-- The same on another server, as far as `host` sees: a connection of mod_s2s, without the text and the wire.
function app.connect(host, domain)
	local origin = { type = "s2sin", from_host = domain, to_host = host };
	local function send(reply) prosody.core_post_stanza(origin, reply); end
	prosody.hosts[host].s2sout[domain] = {
		type = "s2sout"; log = function () end;
		sends2s = function (iq) return take(iq, send); end;
	};
end

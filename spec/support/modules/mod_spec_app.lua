-- An app server in the process, for benches: takes every push, answers it at once unless it is told to keep the answers,
-- and has the pushes checked by what it keeps: how many came, the first and the last.
local st = require "util.stanza";

local app = { count = 0, silent = false, unanswered = {} };
prosody.spec_app = app;

function app.reset()
	app.count, app.first, app.last, app.unanswered = 0, nil, nil, {};
end

function app.answer(iq)
	prosody.hosts[iq.attr.from].send(st.reply(iq));
end

module:hook("iq/host", function (event)
	local iq = event.stanza;
	app.count = app.count + 1;
	app.first, app.last = app.first or iq, iq;
	if app.on_push then app.on_push(); end
	if app.silent then
		table.insert(app.unanswered, iq);
	else
		event.origin.send(st.reply(iq));
	end
	return true;
end, 1000);

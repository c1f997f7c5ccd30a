-- The picture of `push explain` in the README: a phone that was not woken each time, on a real server, as an administrator
-- sees it. `lua5.4 spec/support/picture.lua` writes docs/explain.svg.
local paths = require "spec.support.paths";
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local st = require "util.stanza";

local FILE = paths.root.."/docs/explain.svg";
local PUSH = "push.example.test";
local COMMAND = "prosodyctl shell push explain romeo@example.org";
-- Of a character, in a common monospace font; of a line.
local WIDTH, HEIGHT, MARGIN = 7.83, 20, 16;

local picture = { file = FILE };

-- What the command prints, line by line.
function picture.lines(version)
	local server = prosody.start { version = version, module = "ours", host = "example.org", enable = { "admin_shell" } };
	faulty.clock(server);
	local app = appserver.connect(server, PUSH);
	local phone = client.connect(server, "romeo", { resource = "phone" });
	phone:enable_push({ jid = PUSH, node = "phone" });
	local juliet = client.connect(server, "juliet");
	local seconds = 0;
	local function later(n)
		seconds = seconds + n;
		faulty.ahead(server, seconds);
	end
	local function write(...)
		juliet:message { to = "romeo@example.org", ... };
		app:settled();
	end
	write(st.stanza("body"):text("Art thou there?"));
	phone:close();
	later(65);
	write(st.stanza("body"):text("Wherefore art thou Romeo?"));
	later(22);
	write(st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }));
	later(34);
	app.answer = { "cancel", "remote-server-not-found" };
	write(st.stanza("body"):text("Deny thy father and refuse thy name!"));
	local lines = {};
	for line in server:prosodyctl("shell", "push", "explain", "romeo@example.org"):gmatch("[^\n]+") do lines[#lines + 1] = line; end
	server:stop();
	return lines;
end

local function escape(text)
	return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }));
end

function picture.svg(lines)
	local longest = #COMMAND + 2;
	for _, line in ipairs(lines) do longest = math.max(longest, #line); end
	local width, height = math.ceil(longest * WIDTH) + 2 * MARGIN, (#lines + 1) * HEIGHT + 2 * MARGIN;
	local out = {
		('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" role="img">'):format(width, height, width);
		"<title>What prosodyctl shell push explain prints</title>";
		('<rect width="%d" height="%d" rx="8" fill="#1e2228"/>'):format(width, height);
		'<g font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="13" xml:space="preserve">';
	};
	local function add(n, colour, text)
		out[#out + 1] = ('<text x="%d" y="%d" fill="%s">%s</text>'):format(MARGIN, MARGIN + n * HEIGHT - 6, colour, escape(text));
	end
	add(1, "#8fd18f", "$ "..COMMAND);
	for i, line in ipairs(lines) do add(i + 1, line:find("^ ") and "#f0f0f0" or "#8ab4d8", line); end
	out[#out + 1] = "</g>\n</svg>\n";
	return table.concat(out, "\n");
end

if arg and arg[0]:find("picture.lua", 1, true) then
	local file = assert(io.open(FILE, "w"));
	file:write(picture.svg(picture.lines("13.0")));
	file:close();
end

return picture;

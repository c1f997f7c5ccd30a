-- The pictures of mod_push_page in the documents: both halves, light and dark, at the width of a desk and of a phone, after a day that
-- was played on a real server. `lua5.4 spec/support/screenshots.lua` writes them into docs/.
local paths = require "spec.support.paths";
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local browser = require "spec.support.browser";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local st = require "util.stanza";

local screenshots = {};

screenshots.list = {
	{ file = "page-user.png", user = "romeo", width = 820, height = 560 };
	{ file = "page-user-phone.png", user = "romeo", width = 390, height = 720, dark = true };
	{ file = "page-admin.png", user = "juliet", width = 960, height = 900, dark = true, from = "#charts" };
	{ file = "page-admin-phone.png", user = "juliet", width = 390, height = 720, from = "#app-servers" };
};

-- What a quarter of an hour brings: messages, by the hour.
local BUSY = { 0, 0, 0, 0, 0, 0, 1, 2, 3, 2, 1, 1, 3, 2, 1, 1, 2, 3, 4, 5, 4, 3, 2, 1 };
local QUARTER = 900;

-- A day of romeo's phone and tablet, with an app server that is away for an hour of it.
local function play(server)
	local app = appserver.connect(server, "push.example.test");
	local phone = client.connect(server, "romeo", { resource = "phone" });
	phone:enable_push { jid = app.jid, node = "Pixel-8" };
	local other = appserver.connect(server, "push2.example.test");
	phone:enable_push { jid = other.jid, node = "tablet" };
	phone:close();
	local juliet = client.connect(server, "juliet");
	local seconds = 0;
	for hour, busy in ipairs(BUSY) do
		for quarter = 1, 4 do
			seconds = seconds + QUARTER;
			faulty.ahead(server, seconds);
			app.answer = hour == 17 and { "wait", "resource-constraint" } or "result";
			for i = 1, (busy * quarter) % 5 + busy do
				local what = i % 4 == 3 and st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" })
					or i % 7 == 6 and st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" })
					or st.stanza("body"):text("…");
				juliet:message { to = "romeo@"..server.host, what };
			end
			app:settled();
			other:settled();
		end
	end
	juliet:message { to = "romeo@"..server.host, st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "call" })
		:tag("description", { xmlns = "urn:xmpp:jingle:apps:rtp:1", media = "audio" }) };
	juliet:message { to = "romeo@"..server.host, body = "Wherefore art thou Romeo?" };
	app:settled();
	return juliet;
end

-- Writes all of them into a folder.
function screenshots.take(version, folder)
	local server = prosody.start {
		version = version, module = "ours", host = "example.org", http = true, s2s = true, enable = { "push_page" };
		options = { contact_uri = "mailto:postmaster@example.org" }; global = { admins = { "juliet@example.org" } };
	};
	faulty.clock(server);
	server:reload("push_page");
	play(server);
	local chromium = browser.start();
	for _, picture in ipairs(screenshots.list) do
		local window = chromium:open(server);
		window:look(picture);
		window:go("/push/", picture.user);
		if picture.user == "romeo" then
			window:click("form.wake button");
			window:expect("#answer", "taken");
		end
		window:screenshot(folder.."/"..picture.file, picture, picture.from);
		window:close();
	end
	chromium:stop();
	server:stop();
end

if arg and arg[0]:find("screenshots.lua", 1, true) then screenshots.take("13.0", paths.root.."/docs"); end

return screenshots;

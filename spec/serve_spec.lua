-- `make serve`, as the maker of a client sees it: what the client does well, what it leaves out, and each push.
local client = require "spec.support.client";
local net = require "spec.support.net";
local st = require "util.stanza";

local VERSION = os.getenv("PROSODY");

describe("make serve", function ()
	local pid, server, output;

	local function printed()
		local file = io.open(output);
		local text = file:read("a");
		file:close();
		return text;
	end

	local function says(text, how_often)
		net.wait(function () return select(2, printed():gsub(text:gsub("%p", "%%%0"), "")) >= (how_often or 1); end, text);
	end

	setup(function ()
		output = os.tmpname();
		local process = io.popen(("PROSODY=%s lua5.4 spec/serve.lua >%s 2>&1 & echo $!"):format(VERSION, output));
		pid = process:read("l");
		process:close();
		says("until Ctrl-C");
		says("advice");
		local text = printed();
		server = { host = "example.test", c2s_port = tonumber(text:match("port (%d+)")), password = text:match("password%s+(%S+)") };
	end);
	teardown(function ()
		os.execute("kill -INT "..pid);
		os.remove(output);
	end);

	it("praises a client that does all, and shows its push", function ()
		local phone = client.connect(server, "romeo", {
			resource = "phone", agent = "d4565fa7-4d72-4749-b3d3-740edbf87770", smacks = true;
		});
		phone:enable_push { jid = "push.example.test", node = "n" };
		for _, text in ipairs({
			"enabled stream management.", "can resume its session.", "has a user agent id.", "enabled push in this session.";
		}) do
			says("+ "..phone.jid.." "..text);
		end
		phone:send(st.stanza("inactive", { xmlns = "urn:xmpp:csi:0" }));
		phone:sync();
		phone:cut();
		says("+ "..phone.jid.." sleeps");
		says("+ "..phone.jid.." said before that it was inactive.");
		local juliet = client.connect(server, "juliet");
		juliet:message { to = phone.bare, body = "Romeo?" };
		says("A push:");
		phone = client.resume(server, "romeo", phone);
		says("+ "..phone.jid.." resumed its session.");
		for i, to in ipairs({ juliet.jid, juliet.bare }) do
			phone:message { to = to, st.stanza("proceed", { xmlns = "urn:xmpp:jingle-message:0", id = "sid"..i }) };
		end
		says("+ "..phone.jid.." took the call at the caller's full JID.");
		says("- "..phone.jid.." sent <proceed/> to a bare JID");
		assert.is_nil(printed():find("- "..phone.jid.." did", 1, true));
		juliet:close();
	end);

	it("tells a client what it leaves out", function ()
		local laptop = client.connect(server, "mercutio", { resource = "laptop" });
		says("- "..laptop.jid.." has no stream management");
		says("- "..laptop.jid.." gave no user agent id");
		says("- "..laptop.jid.." did not enable push in this session: it is pushed while it is in use.");
		local tablet = client.connect(server, "juliet", { resource = "tablet", smacks = "unresumable" });
		says("- "..tablet.jid.." did not ask for resumption");
		local phone = client.connect(server, "romeo", { resource = "old", smacks = true });
		phone:cut();
		says("- "..phone.jid.." did not say that it was inactive");
	end);
end);

-- Community modules that users have beside ours, all at once, from Debian's prosody-modules: all load, devices are woken as without
-- them, and ours say nothing at the level of warnings.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local community = require "spec.support.community";
local push2 = require "spec.support.push2";
local st = require "util.stanza";

local VERSION = os.getenv("PROSODY");
local PUSH, PUSH2, ROOMS = "push.example.test", "push2.example.test", "rooms.example.test";

local loaded = community.of(VERSION);

describe("ours, beside "..#loaded.." community modules,", function ()
	local server, app, service, juliet;

	setup(function ()
		local enable = { "limits", "csi", "push2", "cloud_notify_extensions", "bookmarks" };
		local of_rooms = false;
		for _, name in ipairs(loaded) do
			if name == "muc_notifications" then of_rooms = true; else table.insert(enable, name); end
		end
		server = prosody.start {
			version = VERSION, module = "ours", enable = enable, community = loaded, http = true, s2s = true;
			components = { [ROOMS] = "muc" };
			global = {
				unified_push_secret = "a secret", limits = { c2s = { rate = "100kb/s" } };
				-- As `push check` advises beside mod_csi_battery_saver.
				smacks_max_inactive_unacked_stanzas = 0;
			};
		};
		if of_rooms then
			server:eval([[assert(require "core.modulemanager".load(..., "muc_notifications"))]], ROOMS);
		end
		app, service = appserver.connect(server, PUSH), appserver.connect(server, PUSH2);
		juliet = client.connect(server, "juliet");
	end);
	teardown(function () server:stop(); end);

	-- Where nothing is resumed inline, nothing is bound inline.
	local function connect(agent)
		return client.connect(server, "romeo", {
			resource = agent, agent = agent, smacks = true, bind = VERSION ~= "0.12" and "Phone" or nil;
		});
	end

	local function naps(phone)
		phone:acked();
		phone:send(st.stanza("inactive", { xmlns = "urn:xmpp:csi:0" }));
		phone:sleep();
	end

	it("are loaded with all of them", function ()
		for _, name in ipairs(loaded) do
			assert.is_true(server:eval([[
				local is_loaded = require "core.modulemanager".is_loaded;
				return is_loaded(module.host, ...) or is_loaded("*", ...) or is_loaded(select(2, ...), (...)) or false;
			]], name, ROOMS), name);
		end
	end);

	it("wake a phone once, of either protocol", function ()
		local one, other = connect("d4565fa7-4d72-4749-b3d3-740edbf87770"), connect("d4565fa7-4d72-4749-b3d3-740edbf87771");
		assert.equal("result", one:enable_push({ jid = PUSH, node = "n" }).attr.type);
		assert.equal("result", other:iq(push2.iq(push2.enable { service = PUSH2, push2.match("important") })).attr.type);
		naps(one);
		naps(other);
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		app:expect(1);
		service:expect(1);
		assert.same({ 1, 1 }, { app:settled(), service:settled() });
		for _, phone in ipairs({ one, other }) do
			local resumed = client.resume(server, "romeo", phone);
			resumed:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the message");
			resumed:acked();
			assert.same({ 1, 1 }, { app:settled(), service:settled() });
			resumed:close();
		end
	end);

	-- mod_muc_notifications tells members who are not there.
	if table.concat(loaded, " "):find("muc_notifications", 1, true) then
		it("wake a member of a room who is not in it", function ()
			server:eval([[
				local room = prosody.hosts[...].modules.muc.create_room("room@"..(...));
				room:set_affiliation(true, "romeo@example.test", "member");
				room:set_affiliation(true, "juliet@example.test", "member");
			]], ROOMS);
			local before = app:settled();
			juliet:send(st.presence({ to = "room@"..ROOMS.."/juliet" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			juliet:sync();
			juliet:message { to = "room@"..ROOMS, type = "groupchat", body = "Anybody?" };
			app:expect(before + 1);
		end);
	end

	it("say nothing at the level of warnings, and nobody says anything of a fault", function ()
		local log = server:log();
		for line in log:gmatch("[^\n]+") do
			local source, level = line:match("^%a+ %d+ [%d:]+ (%S+)\t(%a+)\t");
			local ours = source and (source:find("push", 1, true) or source:find("cloud_notify", 1, true));
			assert.is_false((level == "warn" or level == "error") and ours and true or false, line);
		end
		assert.is_nil(log:find("traceback", 1, true));
	end);
end);

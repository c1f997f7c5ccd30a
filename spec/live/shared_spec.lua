-- A push shares everything below <iq> with an earlier push, if no other code can change it.
local prosody = require "spec.support.prosody";
local client = require "spec.support.client";

local HERE, ELSEWHERE = "push.example.test", "push.elsewhere.test";

describe("pushes share everything below <iq>", function ()
	local server;
	before_each(function ()
		server = prosody.start { version = os.getenv("PROSODY"), module = "ours", s2s = true };
		-- A connection to another server, and a component of this server, that keep the stanzas they get.
		server:eval([[
			local here, elsewhere = ...;
			prosody.kept = {};
			local function keep(stanza)
				table.insert(prosody.kept, stanza);
				return true;
			end
			prosody.hosts[module.host].s2sout[elsewhere] = { type = "s2sout", sends2s = keep, log = function () end };
			prosody.hosts[here].events.add_handler("iq/host", function (event) return keep(event.stanza); end, 1000);
		]], HERE, ELSEWHERE);
	end);
	after_each(function () server:stop(); end);

	-- Whether two pushes share their content. `before` prepares the server.
	local function share(jid, before)
		local phone = client.connect(server, "romeo");
		phone:enable_push({ jid = jid, node = "n", options = { secret = "s" } });
		phone:close();
		if before then server:eval(before, jid); end
		server:ping("romeo");
		server:ping("romeo");
		local n, is_shared, is_same, ids = server:eval([[
			local one, two = prosody.kept[1], prosody.kept[2];
			local function text(iq) return tostring(iq.tags[1]); end
			return #prosody.kept, one.tags[1] == two.tags[1], text(one) == text(two), one.attr.id ~= two.attr.id;
		]]);
		assert.same({ 2, true, true }, { n, is_same, ids });
		return is_shared;
	end

	it("to an app server on another server", function ()
		assert.is_true(share(ELSEWHERE));
	end);

	it("but not to an app server on this server, which may keep <item>", function ()
		assert.is_false(share(HERE));
	end);

	it("even with mod_smacks, which has a copy", function ()
		assert.is_true(share(ELSEWHERE, [[
			local session = prosody.hosts[module.host].s2sout[...];
			require "util.filters".add_filter(session, "stanzas/out", function (stanza) return stanza; end, -999);
		]]));
	end);

	it("but not if a filter may change it", function ()
		assert.is_false(share(ELSEWHERE, [[
			local session = prosody.hosts[module.host].s2sout[...];
			require "util.filters".add_filter(session, "stanzas/out", function (stanza) return stanza; end);
		]]));
	end);

	it("but not if another module routes it", function ()
		assert.is_false(share(ELSEWHERE, [[module:hook("route/remote", function () end)]]));
	end);

	it("but not if a handler of cloud_notify/push sees it", function ()
		assert.is_false(share(ELSEWHERE, [[module:hook("cloud_notify/push", function () end)]]));
	end);

	it("only with a push of the same kind", function ()
		local phone = client.connect(server, "romeo");
		phone:enable_push({ jid = ELSEWHERE, node = "n" });
		phone:close();
		server:ping("romeo");
		client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?", id = "m1" };
		server:wait_log("Push %x+%-[^\n]*elsewhere.*Push %x+%-[^\n]*elsewhere");
		local silent, important = server:eval("return tostring(prosody.kept[1]), tostring(prosody.kept[2])");
		assert.not_matches("New Message!", silent, 1, true);
		assert.matches("New Message!", important, 1, true);
	end);
end);

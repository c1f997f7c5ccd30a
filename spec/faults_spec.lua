-- The known faults of the reference, each as a user meets it: absent here, present there. What the reference is seen to
-- do is in the table: `because` is what the same steps come to when they are run against it (by version, if it is a table),
-- nil where it does well. The reference of `newest` counts no answers; some faults of the others went with that.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local st = require "util.stanza";

local version = os.getenv("PROSODY");
local PUSH = "push.example.test";

local function is_registered(server, user, identifier)
	return (server:stored(user) or {})[identifier] ~= nil;
end

local function enable(server, user, fields)
	local session = client.connect(server, user, { resource = "r"..math.random(1e9) });
	session:enable_push(fields);
	return session;
end

-- Each `run` raises an error when the fault shows.
local faults = {
	{
		name = "a push that was answered leaves nothing behind";
		because = { ["0.12"] = "100 handlers are left", ["13.0"] = "100 handlers are left" };
		run = function (server)
			local app = appserver.connect(server, PUSH);
			enable(server, "romeo", { jid = PUSH, node = "n" });
			for _ = 1, 50 do server:ping("romeo"); end
			app:expect(50);
			app:settled();
			local left = server:eval([[
				local left = 0;
				for name, handlers in pairs(prosody.hosts[module.host].events._event_map) do
					if name:find("^iq%-%a+/host/%w+$") then for _ in pairs(handlers) do left = left + 1; end end
				end
				return left;
			]]);
			assert(left == 0, left.." handlers are left");
		end;
	};
	{
		name = "after a restart the sixth device takes the place of the oldest";
		because = "the oldest stayed";
		run = function (server)
			for round = 1, 20 do
				local records = {};
				for i = 1, 5 do
					local node = round.."-"..i;
					records[PUSH.."<"..node] = { jid = PUSH, node = node, timestamp = 1000 + i };
				end
				server:store("romeo", records);
				server:reload();
				enable(server, "romeo", { jid = PUSH, node = "new" }):close();
				assert(not is_registered(server, "romeo", PUSH.."<"..round.."-1"), "the oldest stayed");
			end
		end;
	};
	{
		name = "a message that is archived and then handled as offline is pushed once";
		because = "it was pushed 2 times";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			enable(server, "romeo", { jid = PUSH, node = "n" }):close();
			client.connect(server, "romeo", { presence = false });
			client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
			local pushes = app:settled();
			assert(pushes == 1, "it was pushed "..pushes.." times");
		end;
	};
	{
		name = "a session that hibernates and gets no push ends";
		options = { smacks_hibernation_time = 1, push_max_hibernation_timeout = 1 };
		because = { ["13.0"] = "waited in vain for the end of the session", newest = "waited in vain for the end of the session" };
		run = function (server)
			local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			phone:enable_push({ jid = PUSH, node = "n" });
			phone:acked();
			phone:cut();
			phone:gone(5);
		end;
	};
	{
		name = "a message pushed for a late ack, then met in a hibernating session and given back when it ends, is pushed once";
		options = { smacks_max_ack_delay = 1, smacks_hibernation_time = 1 };
		disable = { "mam" };
		because = "it was pushed %d times";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			phone:enable_push({ jid = PUSH, node = "n" });
			phone:acked();
			phone.stream.stalled = true;
			client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
			app:expect(1);
			phone:cut();
			phone:gone();
			local pushes = app:settled();
			assert(pushes == 1, "it was pushed "..pushes.." times");
		end;
	};
	{
		name = "a call that was pushed at once is not pushed again from the queue of the session";
		because = "it was pushed 2 times";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			phone:enable_push({ jid = PUSH, node = "n" });
			phone:acked();
			phone.stream.stalled = true;
			client.connect(server, "juliet"):message { to = "romeo@example.test",
				st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "sid" }) };
			app:expect(1);
			phone:sleep();
			local pushes = app:settled();
			assert(pushes == 1, "it was pushed "..pushes.." times");
		end;
	};
	{
		name = "an error for a registration that went and came again harms nobody";
		options = { push_max_errors = 1 };
		because = { ["0.12"] = "it raised", ["13.0"] = "it raised" };
		run = function (server)
			local app = appserver.connect(server, PUSH);
			app.answer = "none";
			local phone = enable(server, "romeo", { jid = PUSH, node = "n" });
			server:ping("romeo");
			server:ping("romeo");
			app:expect(2);
			app:send(st.error_reply(app.pushes[1], "cancel", "item-not-found"));
			app:settled();
			phone:enable_push({ jid = PUSH, node = "n" });
			app:send(st.error_reply(app.pushes[2], "cancel", "item-not-found"));
			app:settled();
			assert(not server:log():find("attempt to perform arithmetic"), "it raised");
			assert(is_registered(server, "romeo", PUSH.."<n"), "the registration went");
		end;
	};
	{
		name = "registrations of users nobody writes to do not stay in memory for ever";
		because = "they stayed";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			server:eval([[
				module:fire_event("cloud-notify-ping", { user = "mercutio" });
				for i = 1, 11000 do module:fire_event("cloud-notify-ping", { user = "user"..i }); end
			]]);
			server:store("mercutio", { [PUSH.."<n"] = { jid = PUSH, node = "n", timestamp = 1 } });
			server:ping("mercutio");
			assert(app:settled() == 1, "they stayed");
		end;
	};
	{
		name = "a module that fails in cloud_notify/push costs nobody the message";
		because = "the message is lost";
		run = function (server)
			appserver.connect(server, PUSH);
			enable(server, "romeo", { jid = PUSH, node = "n" }):close();
			server:eval("module:hook('cloud_notify/push', function () error('a faulty module'); end)");
			local juliet = client.connect(server, "juliet");
			juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m" }, "Romeo?"));
			juliet:sync();
			local kept = server:eval([[
				local offline = module:open_store("offline", "archive");
				local n = 0;
				for _ in offline:find("romeo") or function () end do n = n + 1; end
				return n;
			]]);
			assert(kept == 1, "the message is lost");
		end;
	};
	{
		name = "an answer of a stranger does not count";
		options = { push_max_errors = 1 };
		run = function (server)
			local app, stranger = appserver.connect(server, PUSH), appserver.connect(server, "push2.example.test");
			app.answer = "none";
			enable(server, "romeo", { jid = PUSH, node = "n" });
			server:ping("romeo");
			local reply = st.error_reply(app:expect(1), "cancel", "item-not-found");
			reply.attr.from = stranger.jid;
			stranger:send(reply);
			stranger:settled();
			assert(is_registered(server, "romeo", PUSH.."<n"), "the registration went");
		end;
	};
	{
		name = "a registration that its app server refuses push_max_errors times in a row ends";
		options = { push_max_errors = 3 };
		because = { newest = "the registration stayed" };
		run = function (server)
			local app = appserver.connect(server, PUSH);
			app.answer = { "cancel", "item-not-found" };
			enable(server, "romeo", { jid = PUSH, node = "n" });
			for i = 1, 3 do
				server:ping("romeo");
				app:expect(i);
			end
			app:settled();
			assert(not is_registered(server, "romeo", PUSH.."<n"), "the registration stayed");
		end;
	};
	{
		name = "an app server that cannot be reached costs nobody a registration";
		options = { push_max_errors = 3 };
		because = { ["0.12"] = "the registration went", ["13.0"] = "the registration went" };
		run = function (server)
			local app = appserver.connect(server, PUSH);
			app.answer = { "cancel", "remote-server-not-found" };
			enable(server, "romeo", { jid = PUSH, node = "n" });
			for _ = 1, 5 do server:ping("romeo"); end
			app:settled();
			assert(is_registered(server, "romeo", PUSH.."<n"), "the registration went");
		end;
	};
	{
		name = "a pubsub component on the same server takes the publish";
		components = { ["pubsub.example.test"] = "pubsub" };
		because = "it answered bad%-request";
		run = function (server)
			server:eval([[
				local service = prosody.hosts["pubsub.example.test"].modules.pubsub.service;
				assert(service:create("n", true, { publish_model = "open" }));
				module:hook("iq/host", function (event)
					local stanza = event.stanza;
					if stanza.attr.from ~= "pubsub.example.test" then return; end
					prosody.pubsub_answer = stanza.attr.type == "error" and select(2, stanza:get_error()) or stanza.attr.type;
				end, 1000);
			]]);
			enable(server, "romeo", { jid = "pubsub.example.test", node = "n" });
			server:ping("romeo");
			local answer = server:eval("return prosody.pubsub_answer");
			assert(answer == "result", "it answered "..tostring(answer));
		end;
	};
	{
		name = "what one client disables no other session of the user holds";
		because = "the other session holds it";
		run = function (server)
			local one, other = enable(server, "romeo", { jid = PUSH, node = "n" }), enable(server, "romeo", { jid = PUSH, node = "n" });
			one:disable_push({ jid = PUSH });
			local held = server:eval("return prosody.hosts[module.host].sessions.romeo.sessions[...].push_identifier",
				other.jid:match("/(.*)"));
			assert(held == nil, "the other session holds it");
		end;
	};
	{
		name = "the next owner of a deleted account inherits nothing";
		because = "the old owner's phone was woken";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			enable(server, "romeo", { jid = PUSH, node = "n" });
			server:eval([[
				local usermanager = require "core.usermanager";
				assert(usermanager.delete_user("romeo", module.host));
				assert(usermanager.create_user("romeo", "secret", module.host));
			]]);
			client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Welcome!" };
			assert(app:settled() == 0, "the old owner's phone was woken");
		end;
	};
	{
		name = "a JID that is none is refused";
		because = "it was stored";
		run = function (server)
			local romeo = client.connect(server, "romeo");
			for _, jid in ipairs({ "", "@", ("x"):rep(4000) }) do
				romeo:enable_push({ jid = jid, node = "n" });
				assert(server:stored("romeo") == nil, "it was stored");
			end
		end;
	};
	{
		name = "failures of one user's registration do not count for another's";
		options = { push_max_errors = 2 };
		because = { ["0.12"] = "a registration went", ["13.0"] = "a registration went" };
		run = function (server)
			local app = appserver.connect(server, PUSH);
			app.answer = { "cancel", "item-not-found" };
			for _, user in ipairs({ "romeo", "juliet" }) do
				enable(server, user, { jid = PUSH, node = "n" });
				server:ping(user);
				app:settled();
			end
			for _, user in ipairs({ "romeo", "juliet" }) do
				assert(is_registered(server, user, PUSH.."<n"), "a registration went");
			end
		end;
	};
};

local function try(fault, module)
	local server = prosody.start {
		version = version; module = module; options = fault.options; components = fault.components; disable = fault.disable;
	};
	local ok, err = pcall(fault.run, server);
	server:stop();
	return ok, err;
end

describe("here", function ()
	for _, fault in ipairs(faults) do
		it(fault.name, function ()
			local ok, err = try(fault, "ours");
			assert.is_true(ok, err);
		end);
	end
end);

describe("in the reference", function ()
	for _, fault in ipairs(faults) do
		local because = fault.because;
		if type(because) == "table" then because = because[version]; end
		it((because and "it is not so that " or "too, ")..fault.name, function ()
			local ok, err = try(fault, "reference");
			if because then
				assert.is_false(ok, "the reference does well here now");
				assert.matches(because, err);
			else
				assert.is_true(ok, err);
			end
		end);
	end
end);

-- The known faults of the reference, as a user meets them. Each test passes here. `because` is the error of the same test against the
-- reference, and `versions` are the versions that have the fault, if not all have it. Without `because` the reference passes, too.
-- docs/differences.md shows this table (spec/docs_spec.lua).
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local st = require "util.stanza";

local PUSH = "push.example.test";

local function is_registered(server, user, identifier)
	return (server:stored(user) or {})[identifier] ~= nil;
end

local function enable(server, user, fields)
	local session = client.connect(server, user, { resource = "r"..math.random(1e9) });
	session:enable_push(fields);
	return session;
end

-- Connects romeo's phone, with stream management.
local function connect_phone(server)
	local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
	phone:enable_push({ jid = PUSH, node = "n" });
	phone:acked();
	return phone;
end

-- The reference of 0.12 and 13.0.1 counts app servers' errors, the newest one does not.
local COUNT = { "0.12", "13.0" };

local function has_pushes(app, n)
	return pcall(app.expect, app, n, 10);
end

local faults = {};

-- Whether the reference of a version has the fault.
function faults.is_in(fault, version)
	for _, name in ipairs(fault.versions or { version }) do
		if name == version then return fault.because ~= nil; end
	end
	return false;
end

-- Each `run` raises an error when the fault shows.
faults.list = {
	{
		name = "an answered push leaves no handler behind";
		because = "100 handlers are left"; versions = COUNT;
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
		name = "after a restart a sixth device replaces the oldest one";
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
		because = "the session stays"; versions = { "13.0", "newest" };
		run = function (server)
			local phone = connect_phone(server);
			phone:cut();
			assert(pcall(phone.gone, phone, 5), "the session stays");
		end;
	};
	{
		name = "a message that is pushed for a late ack, then queued, then handed back by mod_smacks is pushed once";
		options = { smacks_max_ack_delay = 1, smacks_hibernation_time = 1 };
		disable = { "mam" };
		because = "it was pushed 2 times";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			local phone = connect_phone(server);
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
			local phone = connect_phone(server);
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
		name = "an error for an earlier registration has no effect on its successor";
		options = { push_max_errors = 1 };
		because = "it raised an error"; versions = COUNT;
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
			assert(not server:log():find("attempt to perform arithmetic"), "it raised an error");
			assert(is_registered(server, "romeo", PUSH.."<n"), "the registration went");
		end;
	};
	{
		name = "registrations of idle users do not stay in memory for ever";
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
		name = "a module that fails in cloud_notify/push loses no message";
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
		name = "a stranger's answer does not count";
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
		name = "push_max_errors refusals in a row end a registration";
		options = { push_max_errors = 3 };
		because = "the registration stayed"; versions = { "newest" };
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
		name = "an app server that cannot be reached ends no registration";
		options = { push_max_errors = 3 };
		because = "the registration went"; versions = COUNT;
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
		name = "a pubsub component on the same server accepts the publish";
		components = { ["pubsub.example.test"] = "pubsub" };
		because = "it answered bad-request";
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
		name = "after a client disables a registration no other session holds it";
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
		name = "the next owner of a deleted account inherits no registration";
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
		name = "an invalid JID is refused";
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
		name = "failures of one user's registration do not count for another user's";
		options = { push_max_errors = 2 };
		because = "a registration went"; versions = COUNT;
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
	{
		name = "each message that comes while an ack is overdue is pushed";
		options = { smacks_max_ack_delay = 1 };
		because = "only one was pushed";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			local phone = connect_phone(server);
			phone:stall();
			local juliet = client.connect(server, "juliet");
			for i = 1, 2 do
				juliet:message { to = "romeo@example.test", body = "Romeo?" };
				assert(has_pushes(app, i), "only one was pushed");
			end
		end;
	};
	{
		name = "a chat state wakes no hibernating phone";
		because = "the phone was woken";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			local phone = connect_phone(server);
			phone:sleep();
			local juliet = client.connect(server, "juliet");
			juliet:message { to = "romeo@example.test", st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }) };
			-- A queued stanza is pushed within a second.
			server:eval("module:add_timer(2, function () prosody.spec_over = true; end)");
			net.wait(function () return server:eval("return prosody.spec_over"); end, "the end of the two seconds");
			assert(app:settled() == 0, "the phone was woken");
		end;
	};
	{
		name = "a push is sent again after a transport failure";
		because = "it was sent once";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			app.answer = { "cancel", "remote-server-not-found" };
			enable(server, "romeo", { jid = PUSH, node = "n" }):close();
			client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
			app:expect(1);
			app.answer = "result";
			assert(has_pushes(app, 2), "it was sent once");
		end;
	};
	{
		name = "a registration of 20 kB, which would go with every push, is refused";
		because = "it was stored";
		run = function (server)
			client.connect(server, "romeo"):enable_push({ jid = PUSH, node = ("n"):rep(20 * 1024) });
			assert(server:stored("romeo") == nil, "it was stored");
		end;
	};
	{
		name = "with a slow store, two clients of a user that enable at the same time both get a registration";
		because = "one was lost";
		run = function (server)
			faulty.slow_store(server);
			local sessions = {};
			for i = 1, 2 do
				sessions[i] = client.connect(server, "romeo", { resource = "r"..i });
			end
			for i = 1, 2 do
				sessions[i]:send(st.iq({ type = "set", id = "n"..i }):tag("enable", { xmlns = "urn:xmpp:push:0", jid = PUSH, node = "n"..i }));
			end
			for i = 1, 2 do sessions[i]:expect(function (stanza) return stanza.attr.id == "n"..i; end, "the answer"); end
			for i = 1, 2 do assert(is_registered(server, "romeo", PUSH.."<n"..i), "one was lost"); end
		end;
	};
	{
		name = "500 messages within a second cause a few pushes";
		options = { push_coalesce = true };
		because = "there were 500 pushes";
		run = function (server)
			local app = appserver.connect(server, PUSH);
			enable(server, "romeo", { jid = PUSH, node = "n" }):close();
			local juliet = client.connect(server, "juliet");
			for i = 1, 500 do juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m"..i }, "Romeo?")); end
			juliet:sync();
			local pushes = app:settled();
			assert(pushes > 0 and pushes < 50, "there were "..pushes.." pushes");
		end;
	};
};

return faults;

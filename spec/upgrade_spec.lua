-- Moves from the reference to our module and back, each time on a copy of the other's data.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local registered = require "spec.support.registered";

local VERSION = os.getenv("PROSODY") or "0.12";

describe("an administrator who moves between the reference and our module", function ()
	local server, app;

	-- Starts a server with this module, on a copy of the last server's data.
	local function move(module)
		local before = server;
		server = prosody.start { version = VERSION, module = module, storage = "internal", data = before and before.dir.."/data" };
		if before then before:stop(); end
		app = appserver.connect(server, "push.example.test");
	end

	local function enable(user, node)
		local phone = client.connect(server, user);
		phone:enable_push { jid = app.jid, node = node, options = { secret = "the secret of "..node } };
		phone:close();
	end

	-- Returns the devices that a message wakes. Checks that each push has the form that the client registered.
	local function wakes(user)
		local juliet, nodes = client.connect(server, "juliet"), {};
		juliet:message { to = user.."@example.test", body = "Hello" };
		juliet:close();
		for i = 1, app:settled() do
			local push = appserver.read(app.pushes[i]);
			assert.equal("the secret of "..push.node, push.options.secret);
			nodes[i] = push.node;
		end
		app.pushes = {};
		table.sort(nodes);
		return nodes;
	end

	teardown(function () server:stop(); end);

	it("keeps every registration on the way to ours", function ()
		move("reference");
		for _, node in ipairs({ "r1", "r2" }) do enable("romeo", node); end
		enable("mercutio", "m1");
		assert.same({ "r1", "r2" }, wakes("romeo"));
		local stored = server:stored("romeo");
		move("ours");
		assert.same(stored, server:stored("romeo"), "nothing is rewritten");
		assert.same({ "r1", "r2" }, wakes("romeo"));
		assert.same({ "m1" }, wakes("mercutio"));
	end);

	it("keeps the changes that were made with ours on the way back", function ()
		enable("romeo", "r3");
		enable("benvolio", "b1");
		local phone = client.connect(server, "romeo");
		phone:disable_push { jid = app.jid, node = "r1" };
		phone:close();
		move("reference");
		assert.same({ "push.example.test<r2", "push.example.test<r3" }, registered.identifiers(server:stored("romeo")));
		assert.same({ "r2", "r3" }, wakes("romeo"));
		assert.same({ "b1" }, wakes("benvolio"));
		assert.same({ "m1" }, wakes("mercutio"));
	end);

	it("keeps every registration on the second way to ours", function ()
		enable("romeo", "r4");
		move("ours");
		assert.same({ "r2", "r3", "r4" }, wakes("romeo"));
	end);
end);

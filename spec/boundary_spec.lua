-- The library alone, loaded as Prosody loads it, without a server: the contract of lua/prosody_push.meta.lua. Runs on Lua 5.2
-- and 5.3 as well.
local paths = require "spec.support.paths";
package.cpath = paths.library..";"..package.cpath;
local library = require "prosody_push";

local any = require "spec.support.odd";

-- Lua 5.2 has one kind of number.
local math_type = math.type or function (value) return type(value) == "number" and value % 1 == 0 and "integer"; end

local stanza_mt = {};

local function new(options, log, protocol)
	options = options or {};
	local function option(name) return options[name]; end
	return library.new("example.test", protocol or "push", option, stanza_mt, string.lower, log or function () end,
		function () return true; end);
end

-- Returns the stanzas that an event's method returned, and the details of each.
local function written(details, _, _, _, stanza, others)
	return { stanza, table.unpack(others or {}) }, details;
end

-- A random table of a store for a user, with `record` and with a record that is nearly right.
local function random_records(record)
	return {
		[math.random(2) == 1 and "push.example.test<o" or math.random(3) == 1 and {} or math.random(9)] = record;
		["push.example.test<n"] = { jid = "push.example.test", node = any.value(1), options = any.stanza(), timestamp = any.value(0) };
		["push.example.test<m"] = { jid = "push.example.test", node = "m", timestamp = 1 };
	};
end

-- Checks that a call raised no error and that each stanza has an address. Returns the number of stanzas.
local function written_well(ok, pushes, where)
	assert.is_true(ok, where..": "..tostring(pushes));
	for _, push in ipairs(pushes) do assert.equal("string", type(push.attr.to), where); end
	return #pushes;
end

local records = { ["push.example<n"] = { jid = "push.example", node = "n", timestamp = 1 } };

local function read_file(name)
	local file = assert(io.open(paths.root.."/"..name));
	local text = file:read("*a");
	file:close();
	return text;
end

describe("the meta file", function ()
	local stub = read_file("lua/prosody_push.meta.lua");

	it("names every method of the library and no other", function ()
		local push, push2 = new(), new(nil, nil, "push2");
		local engines = { Engine = { push, push2 }, PushEngine = { push }, Push2Engine = { push2 } };
		local named = {};
		for class, name in stub:gmatch("function (%w*Engine):([%w_]+)") do
			named[name] = true;
			for _, engine in ipairs(engines[class]) do assert.equal("function", type(engine[name]), name); end
		end
		local methods = 0;
		for file in io.popen("ls "..paths.root.."/src/lua/*.rs"):lines() do
			local source = io.open(file):read("*a");
			for name in source:gmatch('method!?%(%s*methods,%s*"([%w_]+)"') do
				methods = methods + 1;
				assert.is_true(named[name], name);
			end
		end
		assert.is_true(methods > 40);
	end);

	it("names every field of the library and no other", function ()
		local named = {};
		for name in stub:gmatch("function prosody_push%.([%w_]+)") do named[name] = "function"; end
		for name, kind in stub:gmatch("%-%-%-@field ([%w_]+) (%a+) ") do named[name] = named[name] or kind; end
		for name, value in pairs(library) do
			local kind = math_type(value) == "integer" and "integer" or type(value);
			assert.equal(named[name], kind, name);
		end
		assert.equal("string", type(library.version));
	end);
end);

describe("the version", function ()
	it("is the same in library, shim and package", function ()
		assert.equal(library.version, read_file("lua/prosody_push_loader.lib.lua"):match('local VERSION = "(.-)"'));
		assert.equal(library.version, read_file("Cargo.toml"):match('version = "(.-)"'));
	end);
end);

describe("the shim", function ()
	it("can be read by this Lua", function ()
		local files = 0;
		for file in io.popen("ls lua/*.lua lua/*/*.lua"):lines() do
			files = files + 1;
			assert(loadfile(file));
		end
		assert.is_true(files > 10);
	end);
end);

describe("an engine", function ()
	it("asks for registrations that it does not have in memory", function ()
		local engine = new();
		assert.is_false((engine:on_offline("romeo", 0, 0, false, nil, 1)));
		assert.is_false((engine:on_addressed("romeo", 0, 0, false, nil, 1, nil, nil, nil, nil, nil, "romeo@example.test")));
		assert.is_false((engine:on_ping("romeo", 0, 0, false)));
		engine:load("romeo", nil);
		assert.is_nil((engine:on_offline("romeo", 0, 0, false, nil, 1)));
		engine:forget("romeo");
		assert.is_false((engine:on_offline("romeo", 0, 0, false, nil, 1)));
	end);

	it("writes stanzas as util.stanza does", function ()
		local engine = new();
		engine:load("romeo", records);
		local pushes, details = written(engine:on_offline("romeo", 0, 0, false, nil, 1));
		assert.is_nil(details);
		assert.equal(1, #pushes);
		local function check(element)
			assert.equal(stanza_mt, getmetatable(element));
			local elements = {};
			for _, child in ipairs(element) do
				if type(child) == "table" then table.insert(elements, child); end
			end
			assert.same(#elements, #element.tags);
			for i, child in ipairs(elements) do
				assert.equal(child, element.tags[i]);
				check(child);
			end
			for key in pairs(element) do
				assert.is_true(math_type(key) == "integer" or key == "name" or key == "attr" or key == "tags", tostring(key));
			end
		end
		check(pushes[1]);
		assert.equal("push.example", pushes[1].attr.to);
	end);

	it("writes the same stanza whether other modules observe it or not", function ()
		local engine = new({ push_notification_with_sender = true });
		local form = { name = "x", attr = { xmlns = "jabber:x:data" }, { name = "field", attr = { var = "secret" }, "s" } };
		for _, record in ipairs({ { jid = "push.example" }, { jid = "push.example", node = "n", options = form } }) do
			engine:load("romeo", { [record.jid.."<"..(record.node or "")] = record });
			for _, event in ipairs({ { 0 }, { 1 }, { 1, "juliet@example.test" } }) do
				local shared = written(engine:on_offline("romeo", 0, 0, false, nil, table.unpack(event)))[1];
				local own = written(engine:on_offline("romeo", 0, 0, true, nil, table.unpack(event)))[1];
				assert.not_equal(own.attr.id, shared.attr.id);
				own.attr.id = shared.attr.id;
				assert.same(own, shared);
			end
		end
	end);

	it("shares nothing between observed pushes", function ()
		local engine = new();
		engine:load("romeo", { a = { jid = "a.example" }, b = { jid = "b.example" } });
		local pushes, details = written(engine:on_offline("romeo", 0, 0, true, nil, 1, "juliet@example.test"));
		local seen = {};
		local function visit(value)
			if type(value) ~= "table" then return; end
			assert.is_nil(seen[value]);
			seen[value] = true;
			visit(value.attr);
			for _, child in ipairs(value) do visit(child); end
		end
		for i, push in ipairs(pushes) do
			visit(push);
			visit(details[i].summary);
			assert.same({ identifier = push.attr.to == "a.example" and "a" or "b", important = true,
				summary = { ["message-count"] = "1", ["last-message-body"] = "New Message!" } }, details[i]);
		end
		assert.equal(2, #pushes);
	end);

	it("is independent of other engines", function ()
		local one, two = new(), new({ push_max_devices = 1 });
		one:load("romeo", records);
		assert.is_false((two:on_ping("romeo", 0, 0, false)));
		local push = written(one:on_ping("romeo", 0, 0, false))[1];
		assert.is_nil(two:on_answer(0, 0, push.attr.id, "push.example", false));
		assert.is_true(one:on_answer(0, 0, push.attr.id, "push.example", false));
	end);

	it("works from within a coroutine", function ()
		local engine = new();
		engine:load("romeo", records);
		local pushes = coroutine.wrap(function () return written(engine:on_ping("romeo", 0, 0, false)); end)();
		assert.equal(1, #pushes);
	end);

	it("reads any data from the store without raising and without changing it", function ()
		local cyclic = { jid = "push.example" };
		cyclic.options = { name = "x", cyclic };
		cyclic.options[1] = cyclic.options;
		local wide = { name = "x" };
		for i = 1, 20000 do wide[i] = "text"; end
		local odd = {
			cyclic = cyclic; wide = { jid = "push.example", options = wide }; text = "text"; [1] = {}; [true] = { jid = "x" };
			[{}] = { jid = "x" }; jid = { jid = true }; invalid = { jid = "\xff" }; ["\xff"] = { jid = "x" };
			options = { jid = "x", options = "text" }; nameless = { jid = "x", options = {} };
			attr = { jid = "x", options = { name = "x", attr = 1 } }; attrs = { jid = "x", options = { name = "x", attr = { {} } } };
			func = { jid = print }; numbers = { jid = 7, node = 8, timestamp = 1e300 }; nan = { jid = "x", timestamp = 0/0 };
			stamp = { jid = "x", timestamp = "yesterday" };
		};
		local lines = {};
		local engine = new(nil, function (_, format, line) lines[#lines + 1] = format:format(line); end);
		engine:load("romeo", odd);
		assert.is_true(#lines >= 10);
		for _, line in ipairs(lines) do assert.matches("^A stored push registration of romeo cannot be read", line); end
		for _, push in ipairs((written(engine:on_ping("romeo", 0, 0, true)))) do
			assert.is_true(push.attr.to == "x" or push.attr.to == "7");
		end
		engine:admit("romeo", odd, "text", 0);
		engine:matching("romeo", odd, "x");
		engine:revoked("romeo", odd, "x", nil, "romeo@example.test", "none");
		assert.equal(cyclic.options, cyclic.options[1]);
	end);

	it("reads 5,000 random tables of a store, and forms, without raising", function ()
		local seed = os.time();
		math.randomseed(seed);
		local engine = new({ push_notification_with_body = true });
		local made = 0;
		for i = 1, 5000 do
			local where = ("table %d of seed %d"):format(i, seed);
			local record, form = any.value(), any.stanza();
			local stored = type(record) == "table" and random_records(record) or {};
			assert.is_true(pcall(engine.enable, engine, "romeo", nil, "phone", form, {}), where);
			form.name, form.attr = "enable", { xmlns = "urn:xmpp:push:0", jid = "push.example.test" };
			assert.is_true(pcall(engine.enable, engine, "romeo", nil, "phone", form, {}), where);
			for _, step in ipairs({
				{ engine.load, "romeo", stored }, { engine.admit, "romeo", stored, "push.example.test<n", i },
				{ engine.of_client, "romeo", stored, "1", "phone" }, { engine.matching, "romeo", stored, "push.example.test" },
				{ engine.revoked, "romeo", stored, "push.example.test", "n", "romeo@example.test", "none" },
			}) do
				local ok, err = pcall(step[1], engine, table.unpack(step, 2));
				assert.is_true(ok, where..": "..tostring(err));
			end
			local ok, pushes = pcall(function () return (written(engine:on_ping("romeo", i, 0, true, nil, stored))); end);
			made = made + written_well(ok, pushes, where);
		end
		assert.is_true(made > 1000, made.." pushes");
	end);

	it("reads 5,000 random tables of a store, requests and stanzas of Push 2.0 without raising", function ()
		local seed = os.time();
		math.randomseed(seed);
		local engine = new(nil, nil, "push2");
		local made = 0;
		for i = 1, 5000 do
			local where = ("table %d of seed %d"):format(i, seed);
			local rule = any.value(2);
			if type(rule) == "table" then
				rule.match = math.random(2) == 1 and "urn:xmpp:push2:match:all" or any.value(1);
				rule.send = math.random(2) == 1 and "urn:xmpp:push2:send:notify-only:0" or any.value(1);
				rule.chats, rule.grace = math.random(2) == 1 and any.value(2) or nil, math.random(2) == 1 and any.value(0) or nil;
			end
			local stored = {
				[math.random(3) == 1 and {} or "phone"] = { service = "push.example.test", client = "c", matches = { rule, timestamp = 1 } };
				tablet = { service = any.value(1), client = any.value(0), matches = any.value(2), timestamp = any.value(0) };
				desktop = { service = "push.example.test", client = "c", matches = {
					{ match = "urn:xmpp:push2:match:all", send = "urn:xmpp:push2:send:sce+rfc8291+rfc8292:0", jwt_alg = any.value(0),
						jwt_key = any.value(0), jwt_claims = any.value(2), auth_secret = "BTBZMqHH6r4Tts7J_aSIgg",
						ua_public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" } } };
				laptop = any.value(3);
			};
			for _, step in ipairs({
				{ engine.load, "romeo", stored }, { engine.admit, "romeo", stored, "phone", i }, { engine.of_client, "romeo", stored, nil, "phone" },
				{ engine.enable, "romeo", nil, "phone", any.stanza(), {} }, { engine.of_client, "romeo", stored, "1", "phone" },
			}) do
				local ok, err = pcall(step[1], engine, table.unpack(step, 2));
				assert.is_true(ok, where..": "..tostring(err));
			end
			local ok, pushes = pcall(function ()
				return (written(engine:on_offline("romeo", i, i, false, any.stanza(), 1, "juliet@example.test/x", "text", nil, nil, "a1 x\0n")));
			end);
			made = made + written_well(ok, pushes, where);
		end
		assert.is_true(made > 1000, made.." pushes");
	end);

	it("knows a stored record again, however deep, and any change in it", function ()
		local engine = new();
		local function record(change)
			local form = { name = "x", attr = {}, change };
			for i = 1, 14 do form = { name = "x", attr = { n = tostring(i) }, form, "text" }; end
			return { jid = "push.example", node = "n", options = form, timestamp = 5 };
		end
		local function stored_at(one, other)
			other.timestamp = 7;
			return engine:stored_at("romeo", { ["push.example<n"] = one }, "push.example<n", other);
		end
		local start = os.clock();
		for _ = 1, 20 do assert.equal(5, stored_at(record(), record())); end
		assert.is_true(os.clock() - start < 1);
		assert.is_nil(stored_at(record(), record("more")));
		assert.is_nil(stored_at(record("less"), record()));
		assert.is_nil(stored_at(record("one"), record("other")));
		for side = 1, 2 do
			local sides = { record(), record() };
			sides[side].include_payload = true;
			assert.is_nil(stored_at(sides[1], sides[2]));
		end
	end);

	it("saves its state for a reload as text", function ()
		local engine = new();
		engine:load("romeo", records);
		local push = written(engine:on_ping("romeo", 0, 0, false))[1];
		local saved = engine:save();
		assert.equal("string", type(saved));
		local after = new();
		after:restore(saved);
		assert.is_true(after:on_answer(0, 0, push.attr.id, "push.example", false));
		assert.has_error(function () after:restore("no state"); end);
	end);

	it("lets no text out that no option lets out", function ()
		local function has_text(value)
			if type(value) ~= "table" then return value == "the text"; end
			for _, part in pairs(value) do
				if has_text(part) then return true; end
			end
			return false;
		end
		for _, with_body in ipairs({ false, true }) do
			local engine = new({ push_notification_with_body = with_body });
			engine:load("romeo", records);
			local pushes = written(engine:on_offline("romeo", 0, 0, false, nil, 1, "juliet@example.test/x", "the text"));
			assert.same({ 1, with_body }, { #pushes, has_text(pushes) });
		end
	end);

	it("takes what bookmarks it can read, and asks for them until it has them", function ()
		local engine = new({ push_coalesce = false });
		assert.is_false(engine:load("juliet", nil));
		assert.is_true(engine:load("romeo", records));
		local function pushes(from)
			return #written(engine:on_offline("romeo", 0, 0, false, nil, 1, from));
		end
		engine:load_bookmarks(0, 0, "romeo", nil);
		assert.same({ 1, true }, { pushes("juliet@example.test/x"), engine:load("romeo", records) });
		engine:load_bookmarks(0, 0, "romeo", {
			"JULIET@example.test", "N ", "nurse@example.test", false, {}, "N ", "mercutio@example.test", {}, "odd";
		});
		assert.same({ 0, 1, 1 }, { pushes("juliet@example.test/x"), pushes("nurse@example.test/x"), pushes("mercutio@example.test/x") });
		assert.is_false(engine:load("romeo", records));
		engine:on_bookmark_retracted("romeo", "juliet@example.test");
		engine:on_bookmark("romeo", "nurse@example.test", "N \0Mclient phone", 256);
		assert.same({ 1, 0 }, { pushes("juliet@example.test/x"), pushes("nurse@example.test/x") });
		engine:bookmarks_changed("romeo");
		assert.is_false((engine:on_offline("romeo", 0, 0, false, nil, 1)));
		for i = 1, 1000 do
			local value = any.value();
			local ok, err = pcall(engine.load_bookmarks, engine, i, i, "romeo", type(value) == "table" and value or { value });
			assert.is_true(ok, tostring(err));
		end
	end);

	it("keeps a bounded number of users in memory, and asks for others again", function ()
		for options, limit in pairs({ [{}] = 10000, [{ push_cached_users = 3 }] = 3 }) do
			local engine = new(options);
			for i = 0, limit do engine:load("user"..i, records); end
			assert.is_false((engine:on_ping("user0", 0, 0, false)));
			assert.equal(1, #written(engine:on_ping("user1", 0, 0, false)));
			assert.equal(1, #written(engine:on_ping("user"..limit, 0, 0, false)));
		end
	end);
end);

describe("debug lines", function ()
	it("are made only when they are switched on", function ()
		local lines = 0;
		local engine = new(nil, function () lines = lines + 1; end);
		engine:load("romeo", records);
		library.log_debug(false);
		engine:on_ping("romeo", 0, 0, false);
		assert.equal(0, lines);
		library.log_debug(true);
		engine:on_ping("romeo", 0, 0, false);
		assert.is_true(lines > 0);
		library.log_debug(false);
	end);

	it("and all others contain no text of a message", function ()
		local text = {};
		library.log_debug(true);
		local engine = new({ push_notification_with_body = true }, function (level, format, line)
			text[#text + 1] = level..format:format(line);
		end);
		engine:load("romeo", { ["push.example<n"] = { jid = "push.example", node = "n", options = { name = "x", "the secret" } } });
		local push = written(engine:on_offline("romeo", 0, 0, true, nil, 1, "juliet@example.test", "the body", "a1"))[1];
		engine:on_offline("romeo", 0, 0, true, nil, 1, "juliet@example.test", "the body", "a1");
		engine:on_answer(0, 0, push.attr.id, "push.example", false, "cancel", "gone", nil);
		library.log_debug(false);
		assert.is_true(#text > 2);
		assert.not_matches("the body", table.concat(text));
		assert.not_matches("the secret", table.concat(text));
	end);
end);

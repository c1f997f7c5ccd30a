-- The bench itself, in small: what it counts is what it says. Its figures are `make bench`'s.
local cases = require "spec.bench.cases";
local stats = require "spec.bench.stats";

local VERSION = os.getenv("PROSODY") or "0.12";

describe("the bench", function ()
	local servers;
	setup(function () servers = cases.start({ version = VERSION }); end);
	teardown(function () cases.stop(servers); end);

	for _, case in ipairs(cases.list) do
		for _, side in ipairs({ "reference", "ours" }) do
			it(("counts the pushes for: %s (%s)"):format(case.name, side), function ()
				for _ = 1, 2 do
					local result = cases.run(servers, side, case, 3);
					assert.is_true(result.total > 0 and result.making > 0);
				end
			end);
		end
	end

	it("refuses to count a push that is another's", function ()
		local case = { name = "wrong", kind = "offline", user = "romeo", node = "j1", important = true, pushes = { ours = 1 } };
		assert.has_error(function () cases.run(servers, "ours", case, 1); end);
		case.node, case.important = "r1", false;
		assert.has_error(function () cases.run(servers, "ours", case, 1); end);
		case.important, case.pushes.ours = true, 0;
		assert.has_error(function () cases.run(servers, "ours", case, 1); end);
	end);

	if VERSION == "13.0" then
		it("counts encrypted pushes", function ()
			local encrypted = cases.start({ version = VERSION, encrypted = true });
			for _, side in ipairs({ "reference", "ours" }) do
				assert.is_true(cases.run(encrypted, side, cases.encrypted, 3).total > 0);
			end
			cases.stop(encrypted);
		end);
	end

	if VERSION == "13.0" then
		it("counts pushes that carry their stanza", function ()
			local server = cases.start_push2();
			for _, side in ipairs({ "ours", "openssl" }) do
				for _, sign in ipairs({ true, false }) do assert.is_true(cases.run_push2(server, side, 3, sign) > 0); end
			end
			server:stop();
		end);
	end

	it("knows the middle and the spread", function ()
		assert.same({ median = 3, low = 2, high = 4 }, stats.of({ 5, 1, 4, 2, 3 }));
		assert.same({ median = 1.5, low = 1.25, high = 1.75 }, stats.of({ 2, 1 }));
	end);
end);

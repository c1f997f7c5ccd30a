-- Faults, load and hostile input, in a small version. `make soak` runs the full version, and the reference beside it.
local cases = require "spec.reliability.cases";

for _, group in ipairs(cases.groups) do
	describe(group.name, function ()
		for _, case in ipairs(group.list) do
			it(case.name, function ()
				local figure, err = cases.run(case, os.getenv("PROSODY"), "ours", case.size and case.size[1]);
				assert.is_string(figure, err);
			end);
		end
	end);
end

-- The known faults of the reference: each test passes here, and fails there.
local prosody = require "spec.support.prosody";
local faults = require "spec.support.faults";

local version = os.getenv("PROSODY");

local function try(fault, module)
	local server = prosody.start {
		version = version; module = module; options = fault.options; components = fault.components; disable = fault.disable;
	};
	local ok, err = pcall(fault.run, server);
	server:stop();
	return ok, err;
end

describe("here", function ()
	for _, fault in ipairs(faults.list) do
		it(fault.name, function ()
			local ok, err = try(fault, "ours");
			assert.is_true(ok, err);
		end);
	end
end);

describe("in the reference", function ()
	for _, fault in ipairs(faults.list) do
		local is_there = faults.is_in(fault, version);
		it((is_there and "it is not true that " or "too, ")..fault.name, function ()
			local ok, err = try(fault, "reference");
			if is_there then
				assert.is_false(ok, "the reference does well here now");
				assert.matches(fault.because, err, 1, true);
			else
				assert.is_true(ok, err);
			end
		end);
	end
end);

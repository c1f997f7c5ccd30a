-- docs/interop.md has what the specs run.
local interop = require "spec.support.interop";

local function read()
	local file = assert(io.open(interop.document));
	local text = file:read("a");
	file:close();
	return text;
end

describe("docs/interop.md", function ()
	it("has each client, gateway, library, server and module that the specs have, and no other", function ()
		local text = read();
		local anew, missing = interop.renew(text);
		assert.is_nil(missing, "there is no table below that heading");
		assert.equal(anew, text, "lua5.4 spec/support/interop.lua writes the tables anew");
	end);

	it("would not be the same with a row less", function ()
		local text = read();
		local less = text:gsub("\n| Monal [^\n]*", "", 1);
		assert.not_equal(less, (interop.renew(less)));
	end);
end);

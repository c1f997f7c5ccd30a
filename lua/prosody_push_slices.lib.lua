-- Long work in slices. Between two slices the server does its other work.

local async = require "util.async";
local monotonic = require "util.time".monotonic;

-- Seconds that a slice lasts.
local SLICE = 0.005;
-- Entries that table.sort sorts at once, because it cannot pause.
local RUN = 500;

local unpack = table.unpack;

-- Returns a function that ends a slice when it has lasted long enough. Where the caller cannot wait, all the work is one slice.
local function slices()
	local start = monotonic();
	return function ()
		if monotonic() - start < SLICE or not async.ready() then return; end
		local wait, done = async.waiter();
		module:add_timer(0, function () done(); end);
		wait();
		start = monotonic();
	end;
end

local function merge(one, other, pause)
	local merged, i, j = {}, 1, 1;
	for n = 1, #one + #other do
		if j > #other or i <= #one and one[i] <= other[j] then
			merged[n], i = one[i], i + 1;
		else
			merged[n], j = other[j], j + 1;
		end
		if n % 100 == 0 then pause(); end
	end
	return merged;
end

-- Returns a sorted copy of a list.
local function sorted(list, pause)
	local runs = {};
	for first = 1, #list, RUN do
		local run = { unpack(list, first, math.min(first + RUN - 1, #list)) };
		table.sort(run);
		runs[#runs + 1] = run;
		pause();
	end
	while runs[2] do
		local merged = {};
		for i = 1, #runs, 2 do merged[#merged + 1] = runs[i + 1] and merge(runs[i], runs[i + 1], pause) or runs[i]; end
		runs = merged;
	end
	return runs[1] or {};
end

return { new = slices; sorted = sorted };

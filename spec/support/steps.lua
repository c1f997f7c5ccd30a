-- Says of long work what runs, how far it is, and how long it may take.
local socket = require "socket";

local steps = {};

-- Before so much is done, what it took so far tells little.
local ENOUGH = 0.25;

local function minutes(seconds)
	return math.max(math.floor(seconds / 60 + 0.5), 1).." min";
end

-- A function that begins the step that it is given the name of. total: how many there will be; expected: minutes that all of it usually
-- takes; write and now are for the specs.
function steps.new(total, expected, write, now)
	write = write or function (line) io.stderr:write(line, "\n"); end
	now = now or socket.gettime;
	local start, begun = now(), 0;
	return function (name)
		local gone, done = now() - start, begun / total;
		local left = done < ENOUGH and expected * 60 * (1 - done) or gone / done * (1 - done);
		begun = begun + 1;
		local so_far = begun > 1 and minutes(gone).." so far, " or "";
		write(("== %d of %d (%sabout %s to go): %s"):format(begun, total, so_far, minutes(left), name));
	end;
end

return steps;

-- One loop over all sockets of a spec. Nothing in the specs sleeps: they wait for a condition while every connection
-- is served.
require "spec.support.paths";
local socket = require "socket";

local net = { now = socket.gettime };

-- socket -> function that takes what has arrived
local readers = {};

function net.add(conn, reader)
	readers[conn] = reader;
end

function net.remove(conn)
	readers[conn] = nil;
	conn:close();
end

local function serve(timeout)
	local conns = {};
	for conn in pairs(readers) do conns[#conns + 1] = conn; end
	for _, conn in ipairs((socket.select(conns, nil, timeout))) do
		local data, err, partial = conn:receive(65536);
		data = data or partial;
		local reader = readers[conn];
		if reader and data and data ~= "" then reader(data); end
		if err == "closed" and readers[conn] then
			net.remove(conn);
			reader(nil);
		end
	end
end

-- Serves all connections until condition() is true and gives its value. `what` names what did not come in time.
-- The time is long: a machine may be busy with other things, and what comes is not waited for longer than it takes.
function net.wait(condition, what, timeout)
	local deadline = net.now() + (timeout or 30);
	repeat
		local value = condition();
		if value then return value; end
		serve(0.05);
	until net.now() > deadline;
	error("waited in vain for "..what, 2);
end

function net.connect(port)
	local conn;
	net.wait(function ()
		conn = socket.connect("127.0.0.1", port);
		return conn;
	end, "port "..port);
	conn:settimeout(0);
	-- Else a second small write waits 40 ms for the ACK of the first.
	conn:setoption("tcp-nodelay", true);
	return conn;
end

-- A hundred ports are this file's while it holds the first of them: another run of the specs has its own. None that the
-- system gives to outgoing connections: one might take it, or meet itself.
local BLOCK = 100;
local block, newest;

-- A port that is free now, and was not given of late.
function net.free_port()
	while not block do
		-- busted loads this anew for each file, and the block of the last file is garbage.
		collectgarbage();
		newest = math.random(100, 319) * BLOCK;
		block = socket.bind("127.0.0.1", newest);
	end
	local server;
	repeat
		newest = newest % BLOCK == BLOCK - 1 and newest - BLOCK + 2 or newest + 1;
		server = socket.bind("127.0.0.1", newest);
	until server;
	server:close();
	return newest;
end

-- Everything, whatever the other side's window is.
function net.send(conn, data)
	local sent = 0;
	while sent < #data do
		local last, err, partial = conn:send(data, sent + 1);
		sent = last or partial;
		if err == "timeout" then
			socket.select(nil, { conn }, 1);
		elseif err then
			return nil, err;
		end
	end
	return true;
end

return net;

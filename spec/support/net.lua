-- One loop over all sockets of a spec. The specs never sleep: they wait for a condition while the loop serves every connection.
require "spec.support.paths";
local socket = require "socket";

local net = { now = socket.gettime };

-- socket -> function that handles received data
local readers = {};
-- listening socket -> function that handles a connection
local listeners = {};

function net.add(conn, reader)
	readers[conn] = reader;
end

-- Calls `accepted` with each connection to a listening socket, until net.remove(listener).
function net.accept(listener, accepted)
	listener:settimeout(0);
	listeners[listener] = accepted;
end

function net.remove(conn)
	readers[conn], listeners[conn] = nil, nil;
	conn:close();
end

local function read(conn)
	local data, err, partial = conn:receive(65536);
	data = data or partial;
	local reader = readers[conn];
	if data and data ~= "" then reader(data); end
	if err == "closed" and readers[conn] then
		net.remove(conn);
		reader(nil);
	end
end

local function serve(timeout)
	local conns = {};
	for conn in pairs(readers) do conns[#conns + 1] = conn; end
	for listener in pairs(listeners) do conns[#conns + 1] = listener; end
	for _, conn in ipairs((socket.select(conns, nil, timeout))) do
		local accepted = listeners[conn] and conn:accept();
		if accepted then listeners[conn](accepted); end
		-- What came before it may have removed it.
		if readers[conn] then read(conn); end
	end
end

-- Serves all connections until condition() is true, and returns its value. `what` describes the condition in the error. The default
-- timeout is long, because a machine may be busy; it costs nothing when the condition becomes true.
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
	-- Otherwise a second small write waits 40 ms for the TCP ACK of the first.
	conn:setoption("tcp-nodelay", true);
	return conn;
end

-- A process owns a block of a hundred ports while it holds the first of them, so that two runs of the specs do not conflict. The
-- system does not use these ports for outgoing connections.
local BLOCK = 100;
local block, newest;

-- Returns a free port that was not returned recently.
function net.free_port()
	while not block do
		-- busted loads this module again for each file; the last file's block is garbage.
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

-- Sends all data, for any size of the TCP window.
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

-- A TCP proxy on loopback in front of a port, so that a spec can take a client's network away.
--
--   local proxy = proxy.start(port)
--   proxy.port         where clients connect
--   proxy:cut()        closes all connections, and new ones at once
--   proxy:hold()       lets nothing through; the connections stay
--   proxy:mend()       ends either; what was held arrives
--   proxy:stop()
local net = require "spec.support.net";
local socket = require "socket";

local proxy = {};
local methods = {};
local mt = { __index = methods };

local function close(self, from, to)
	for _, conn in ipairs({ from, to }) do
		if self.open[conn] then
			self.open[conn] = nil;
			net.remove(conn);
		end
	end
end

-- `data` is nil where `from` was closed.
local function forward(self, from, to, data)
	if self.held then return table.insert(self.held, { from, to, data }); end
	if not data or not net.send(to, data) then close(self, from, to); end
end

local function connect(self, from, to)
	self.open[from] = true;
	net.add(from, function (data) forward(self, from, to, data); end);
end

function proxy.start(port)
	local self = setmetatable({ open = {}, listener = assert(socket.bind("127.0.0.1", 0)) }, mt);
	self.port = select(2, self.listener:getsockname());
	net.accept(self.listener, function (client)
		if self.is_cut then return client:close(); end
		local server = net.connect(port);
		client:settimeout(0);
		client:setoption("tcp-nodelay", true);
		connect(self, client, server);
		connect(self, server, client);
	end);
	return self;
end

function methods:cut()
	self.is_cut = true;
	for conn in pairs(self.open) do net.remove(conn); end
	self.open = {};
end

function methods:hold()
	self.held = {};
end

function methods:mend()
	local held = self.held or {};
	self.is_cut, self.held = false, nil;
	for _, arrived in ipairs(held) do forward(self, table.unpack(arrived, 1, 3)); end
end

function methods:stop()
	self:cut();
	net.remove(self.listener);
end

return proxy;

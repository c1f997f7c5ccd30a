-- A client that is a program of its own, made with another library. It connects to a port of the spec, reads commands there and
-- reports, each a line:
--
--   started · enable JID NODE SECRET -> enabled · cut -> cut · resume -> resumed (or started) · disable JID NODE -> disabled ·
--   quit · and "message TEXT" for what it is sent
--
--   local program = program.start(server, "/usr/bin/python3 spec/clients/slixmpp.py", "romeo@example.test/phone")
--   program:tell("cut");  program:says("cut");  program:stop()
local client = require "spec.support.client";
local net = require "spec.support.net";
local socket = require "socket";

local program = {};
local methods = {};
local mt = { __index = methods };

-- Waits as net.wait() does. The error has what the program said and printed.
local function wait(self, condition, what)
	local ok, value = pcall(net.wait, condition, what);
	if ok then return value; end
	local file = io.open(self.output);
	error(("%s\nIt said: %s\n%s"):format(value, table.concat(self.lines, ", "), file:read("a")), 3);
end

function program.start(server, command, jid)
	local listener = assert(socket.bind("127.0.0.1", 0));
	local _, port = listener:getsockname();
	local self = setmetatable({ server = server, command = command, lines = {}, output = server.dir.."/program" }, mt);
	self.user, self.resource = jid:match("^(.-)@.-/(.*)$");
	-- Its arguments: the port of the spec, the server's, its JID and its password.
	self.process = assert(io.popen(("%s %d %d %s %s >%s 2>&1")
		:format(command, port, server.c2s_port, jid, server.password, self.output), "w"));
	listener:settimeout(0);
	self.conn = wait(self, function () return listener:accept(); end, command);
	listener:close();
	self.conn:settimeout(0);
	local rest = "";
	net.add(self.conn, function (data)
		rest = (rest..(data or "")):gsub("([^\n]*)\n", function (line) table.insert(self.lines, line); return ""; end);
	end);
	return self;
end

function methods:tell(line)
	assert(net.send(self.conn, line.."\n"));
end

function methods:says(wanted)
	wait(self, function ()
		for i, line in ipairs(self.lines) do
			if line == wanted then return table.remove(self.lines, i); end
		end
	end, wanted);
end

methods.session = client.session;

function methods:acked()
	wait(self, function () return self:session(".outgoing_stanza_queue:count_unacked()") == 0; end, "the acks of "..self.command);
end

function methods:sleep()
	self:tell("cut");
	self:says("cut");
	wait(self, function () return self:session(".hibernating"); end, "the hibernation of "..self.command);
end

function methods:stop()
	-- It may have ended by a fault of its own.
	net.send(self.conn, "quit\n");
	self.process:close();
	net.remove(self.conn);
end

return program;

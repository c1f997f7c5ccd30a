-- An XMPP stream over TCP: stanzas in and out, by Prosody's own parser.
local net = require "spec.support.net";
local sha1 = require "util.hashes".sha1;
local st = require "util.stanza";
local new_xmpp_stream = require "util.xmppstream".new;

-- A longer start tag may arrive in two reads: Prosody reads at most 8 kB.
local LARGE = 4096;

local stream = {};
local methods = {};
local mt = { __index = methods };

-- opts: port, default_ns, to, from; on_stanza(stanza) is called for each.
function stream.connect(opts)
	local self = setmetatable({ opts = opts, conn = net.connect(opts.port), closed = false }, mt);
	self.session = { notopen = true };
	self.parser = new_xmpp_stream(self.session, {
		stream_ns = "http://etherx.jabber.org/streams";
		stream_tag = "stream";
		default_ns = opts.default_ns;
		streamopened = function (session, attr) session.notopen = nil; self.id = attr.id; end;
		streamclosed = function () self.ended = true; end;
		error = function (_, err, detail) if err ~= "stream-error" then error("stream error: "..tostring(err)); end self.error = detail; end;
		handlestanza = function (_, stanza)
			if stanza.name == "handshake" then self.accepted = true; else opts.on_stanza(stanza); end
		end;
	});
	net.add(self.conn, function (data)
		if not data then
			self.closed = true;
		elseif not self.stalled then
			self.parser:feed(data);
		end
	end);
	self:open();
	return self;
end

-- Opens the stream, also again after authentication.
function methods:open()
	self.id = nil;
	self.session.notopen = true;
	self.parser:reset();
	self:write(("<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>")
		:format(self.opts.default_ns, self.opts.to));
end

-- Authenticates a component (XEP-0114).
function methods:handshake(secret)
	net.wait(function () return self.id; end, "the stream of "..self.opts.to);
	self:send(st.stanza("handshake"):text(sha1(self.id..secret, true)));
	net.wait(function () return self.accepted; end, "the handshake of "..self.opts.to);
end

function methods:write(data)
	return net.send(self.conn, data);
end

-- Since CVE-2023-52425, Expat parses a start tag that came in several reads only after as much data again. So a large stanza is
-- followed by white space; otherwise it would wait for the next stanza.
function methods:send(stanza)
	local text = tostring(stanza);
	local longest = 0;
	for tag in text:gmatch("<[^>]+>") do longest = math.max(longest, #tag); end
	return self:write(longest > LARGE and text..(" "):rep(longest) or text);
end

-- Closes the stream (RFC 6120 §4.4) and waits until the server has closed it.
function methods:close()
	if self.closed then return; end
	self:write("</stream:stream>");
	net.wait(function () return self.ended or self.closed; end, "the end of a stream");
	self:cut();
end

-- Cuts the connection without closing the stream.
function methods:cut()
	if self.closed then return; end
	self.closed = true;
	net.remove(self.conn);
end

return stream;

-- An HTTP client that lets the other connections of a spec be served meanwhile.
--
--   local answer = http.get(server, "/push/", { user = "romeo", headers = { … } })
--   local answer = http.post(server, "/push/wake", { device = "…" }, { user = "romeo", cookie = "…" })
--   answer.status, answer.headers (names in lower case), answer.body, answer.json()
--
-- opts: user and password (that of the specs unless given), token (a bearer's), cookie, headers, host, timeout; type (of the body, a
-- form unless given)
require "spec.support.paths";
local net = require "spec.support.net";
local base64 = require "util.encodings".base64.encode;
local formencode = require "util.http".formencode;
local json = require "util.json";

local http = {};

local function parse(data)
	local head, body = data:match("^(.-\r\n)\r\n(.*)$");
	if not head then return; end
	local headers = {};
	for name, value in head:gmatch("\n([^:\r\n]+): *([^\r\n]*)") do headers[name:lower()] = value; end
	if #body < (tonumber(headers["content-length"]) or 0) then return; end
	return {
		status = tonumber(head:match("^HTTP/%d%.%d (%d+)")); headers = headers; body = body;
		json = function () return assert(json.decode(body), body); end;
	};
end

-- Sends a request. Returns a table that has its `answer` when it is there, and its connection.
function http.begin(server, method, path, body, opts)
	opts = opts or {};
	local lines = { ("%s %s HTTP/1.1"):format(method, path), "Host: "..(opts.host or server.host), "Connection: close" };
	if opts.user then
		lines[#lines + 1] = "Authorization: Basic "..base64(opts.user..":"..(opts.password or server.password));
	elseif opts.token then
		lines[#lines + 1] = "Authorization: Bearer "..opts.token;
	end
	if opts.cookie then lines[#lines + 1] = "Cookie: "..opts.cookie; end
	for name, value in pairs(opts.headers or {}) do lines[#lines + 1] = name..": "..value; end
	if body then
		lines[#lines + 1] = "Content-Type: "..(opts.type or "application/x-www-form-urlencoded");
		lines[#lines + 1] = "Content-Length: "..#body;
	end
	local request, data = { conn = net.connect(server.http_port) }, "";
	net.add(request.conn, function (more)
		data = data..(more or "");
		request.answer = request.answer or parse(data);
	end);
	net.send(request.conn, table.concat(lines, "\r\n").."\r\n\r\n"..(body or ""));
	return request;
end

-- Sends a request, and gives its answer when it is there.
function http.request(server, method, path, body, opts)
	local request = http.begin(server, method, path, body, opts);
	net.wait(function () return request.answer; end, "the answer to "..method.." "..path, opts and opts.timeout);
	net.remove(request.conn);
	return request.answer;
end

function http.get(server, path, opts)
	return http.request(server, "GET", path, nil, opts);
end

function http.post(server, path, fields, opts)
	return http.request(server, "POST", path, formencode(fields), opts);
end

return http;

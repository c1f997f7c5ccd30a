-- Answers for the names of other servers, without a name server: option spec_dns, from name to the port of its s2s on loopback.
module:set_global();

local adns = require "net.adns";

local ports = module:get_option("spec_dns", {});

local resolver = {};

function resolver:lookup(callback, name, kind) -- luacheck: ignore 212/self
	local host = name:match("^_xmpp%-server%._tcp%.(.*)");
	if kind == "SRV" and ports[host] then
		callback({ { srv = { target = host, port = ports[host], priority = 0, weight = 0 } } });
	elseif kind == "A" and ports[name] then
		callback({ { a = "127.0.0.1" } });
	else
		callback({});
	end
end

function adns.resolver()
	return resolver;
end

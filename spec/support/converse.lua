-- Converse.js in a browser, on a site of its own: Prosody serves the page and the connection, through a proxy that can be cut.
-- `spec/support/deps clients` fetches Converse.js from npm.
--
--   local site = converse.start { version = "13.0", module = "ours", options = … }      opts of prosody.start; site.server, site.proxy
--   local tab = site:sign_in(browser, { websocket_url = site.websocket, … })      settings of converse.initialize; the user is romeo
--   tab:says("juliet@example.test")      the texts that the chat shows, sorted: Converse mixes those of one second
--   tab:hears("juliet@example.test", "text")      waits until the chat shows it
--   tab:stream()      the id of its session (XEP-0198)
--   tab:session(what)  tab:acked()  tab:sleeps()  tab:gone()      see spec/support/client.lua
--   tab:close()  site:stop()
local client = require "spec.support.client";
local net = require "spec.support.net";
local paths = require "spec.support.paths";
local prosody = require "spec.support.prosody";
local proxy = require "spec.support.proxy";
local urlencode = require "util.http".urlencode;
local json = require "util.json";

-- Converse opens no chat before it has the blocklist and the bookmarks.
local MODULES = { "http_files", "websocket", "bosh", "pep", "bookmarks", "blocklist", "vcard_legacy", "csi_simple" };

local converse = { folder = paths.server("converse") };
local methods, tab = {}, {};
local mt, tab_mt = { __index = methods }, { __index = tab };

function converse.start(opts)
	opts.http, opts.enable = true, MODULES;
	opts.global = {
		http_files_dir = converse.folder; http_default_host = prosody.host; bosh_max_inactivity = opts.bosh_max_inactivity;
		consider_websocket_secure = true; consider_bosh_secure = true;
	};
	local server = prosody.start(opts);
	local self = setmetatable({ server = server, proxy = proxy.start(server.http_port) }, mt);
	-- Browsers keep some functions for hosts with TLS and for the machine itself.
	self.host, self.http_port = "127.0.0.1", self.proxy.port;
	self.websocket = ("ws://%s:%d/xmpp-websocket"):format(self.host, self.http_port);
	self.bosh = ("http://%s:%d/http-bind"):format(self.host, self.http_port);
	return self;
end

function methods:sign_in(browser, settings)
	local all = {
		jid = "romeo@"..self.server.host; password = self.server.password; auto_login = true; discover_connection_methods = false;
		assets_path = "/files/dist/"; view_mode = "fullscreen"; whitelisted_plugins = { "spec" };
	};
	for name, value in pairs(settings) do all[name] = value; end
	local new = setmetatable({ window = browser:open(self), server = self.server, user = "romeo" }, tab_mt);
	new.window:go("/files/?"..urlencode(json.encode(all)));
	new:ask("return inside.api.waitUntil('OMEMOInitialized')");
	new.resource = new:ask("return inside.session.get('resource')");
	new.jid = all.jid.."/"..new.resource;
	return new;
end

function methods:stop()
	self.proxy:stop();
	self.server:stop();
end

-- Runs a script in the page, and waits where it returns a promise.
function tab:ask(script, ...)
	return self.window:run(script, ...);
end

function tab:stream()
	return self:ask("return inside.session.get('smacks_stream_id')");
end

-- Converse never opens a chat that it was asked for while it connected anew: each call asks for it.
function tab:says(with)
	self:ask("inside.api.chats.open(arguments[0], {}, true)", with);
	return self:ask("return [...document.querySelectorAll('.chat-msg__text')].map(element => element.textContent.trim()).sort()");
end

function tab:hears(from, text)
	net.wait(function ()
		for _, said in ipairs(self:says(from)) do
			if said == text then return true; end
		end
	end, text);
end

function tab:sleeps()
	net.wait(function () return self:session(".hibernating"); end, "the hibernation of "..self.jid);
end

tab.session, tab.acked, tab.gone = client.session, client.acked, client.gone;

function tab:close()
	self.window:close();
end

return converse;

-- XEP-0357: Push Notifications. Hooks Prosody's events; the rules are in Rust, see prosody_push.lib.lua.

local is_loaded = require "core.modulemanager".is_loaded;
local user_exists = require "core.usermanager".user_exists;
local jid_node = require "util.jid".node;
local st = require "util.stanza";

local push = module:require "prosody_push";
local engine, guarded = push.engine, push.guarded;

local xmlns_push = "urn:xmpp:push:0";
local xmlns_pubsub = "http://jabber.org/protocol/pubsub";

module:require "prosody_push_hooks"(push);

local function refuse(event, err)
	event.origin.send(push.refusal(event.stanza, err));
	return true;
end

local function hook_iq(name, handler)
	module:hook("iq-set/self/"..xmlns_push..":"..name, guarded("push "..name, handler, refuse));
end

push.announce(module);

-- Makes the registration that a client asks for. Returns its identifier and its record; nil, nil and an error; or false if another
-- module has answered.
local function make(origin, stanza, request)
	-- The record has the reference's shape, because each module reads the other's store.
	local record = { timestamp = os.time(); language = stanza.attr["xml:lang"]; grant_id = origin.push_grant_id };
	local identifier, err = engine:enable(origin.username, origin.client_id, origin.resource, stanza.tags[1], record);
	if not identifier then return nil, nil, err; end
	local allowed = module:fire_event("cloud_notify/registration", { origin = origin, stanza = stanza, push_info = record });
	if allowed == false then return false; end
	if push.registrations.enable(origin, request, identifier, record) then return identifier, record; end
	return nil;
end

hook_iq("enable", function (event)
	local origin, stanza = event.origin, event.stanza;
	-- If another module handles cloud_notify/registration, it has to see every request, also a repeated one.
	local request = not push.is_hooked("cloud_notify/registration") and stanza.tags[1] or nil;
	local identifier, record;
	if request then identifier, record = push.registrations.again(origin, request, stanza.attr["xml:lang"]); end
	if not identifier then
		local err;
		identifier, record, err = make(origin, stanza, request);
		if identifier == nil then return refuse(event, err); end
		if not identifier then return true; end
	end
	push.registrations.bind(origin, identifier, record);
	origin.log("info", "Push notifications enabled: %s, %s", origin.username, identifier);
	origin.send(st.reply(stanza));
	return true;
end);

hook_iq("disable", function (event)
	local origin, stanza = event.origin, event.stanza;
	local jid, node, err = engine:disable(stanza.tags[1]);
	if not jid then return refuse(event, err); end
	if push.registrations.disable(origin.username, jid, node) == nil then return refuse(event); end
	origin.send(st.reply(stanza));
	return true;
end);

-- §8: the app server ends a registration itself.
module:hook("message/bare", guarded("a remote disable", function (event)
	local stanza = event.stanza;
	local pubsub = stanza:get_child("pubsub", xmlns_pubsub);
	local affiliation = pubsub and pubsub:get_child("affiliation", xmlns_pubsub);
	if not affiliation or stanza.attr.type == "error" or not stanza.attr.to then return; end
	local user = jid_node(stanza.attr.to);
	if not user_exists(user, module.host) then return; end
	-- A message that ends no registration is handled like any other.
	return push.registrations.revoke(user, stanza.attr.from, pubsub.attr.node,
		affiliation.attr.jid, affiliation.attr.affiliation) or nil;
end), 10);

module:hook("cloud-notify-ping", guarded("a ping", function (event)
	push.ping(event.user, event.push_services);
end));

-- Before mod_iq, which would fire another event for each answer.
module:hook("iq/host", guarded("the answer to a push", function (event)
	local stanza = event.stanza;
	if (stanza.attr.type == "result" or stanza.attr.type == "error") and stanza.attr.id then
		return push.answer(event.origin, stanza);
	end
end), 10);


---- Tigase's extensions ----

-- Another author's mod_cloud_notify_encrypted encrypts the pushes that it sees.
local function look_for_encryption()
	engine:extend("encrypted elsewhere", not engine:extensions().encrypted and is_loaded(module.host, "cloud_notify_encrypted"));
end
module:hook("module-loaded", guarded("a module that was loaded", look_for_encryption));
module:hook("module-unloaded", guarded("a module that was unloaded", look_for_encryption));
look_for_encryption();

local function switch(name, is_on)
	push.relearn(engine:extend(name, is_on));
	look_for_encryption();
end

-- For the modules of the extensions: switches one on while `extension`, a module, is loaded, and announces it.
-- luacheck: globals extend
function extend(extension, name)
	switch(name, true);
	push.announce(extension, name);
	function extension.unload()
		switch(name, false);
	end
end


push.load_admin();

module.save, module.restore, module.unload = push.save, push.restore, push.unload;

module:log("info", "Push notifications by prosody-push %s", push.version);

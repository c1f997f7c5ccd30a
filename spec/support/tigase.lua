-- A client's requests for Tigase's extensions, and readers for the pushes.
local python = require "spec.support.python";
local base64 = require "util.encodings".base64.encode;
local json = require "util.json";
local st = require "util.stanza";

local tigase = { key = base64("sixteen bytes ok"), xmlns_encrypt = "tigase:push:encrypt:0", xmlns_priority = "tigase:push:priority:0" };

function tigase.encrypt(key, alg, max_size)
	return st.stanza("encrypt", { xmlns = tigase.xmlns_encrypt, alg = alg or "aes-128-gcm", ["max-size"] = max_size })
		:text(key or tigase.key);
end

function tigase.muted(...)
	local list = st.stanza("muted", { xmlns = "tigase:push:filter:muted:0" });
	for _, jid in ipairs({ ... }) do list:tag("item", { jid = jid }):up(); end
	return list;
end

function tigase.ignore_unknown()
	return st.stanza("ignore-unknown", { xmlns = "tigase:push:filter:ignore-unknown:0" });
end

-- A list of attributes for each room.
function tigase.rooms(...)
	local list = st.stanza("groupchat", { xmlns = "tigase:push:filter:groupchat:0" });
	for _, attr in ipairs({ ... }) do list:tag("room", attr):up(); end
	return list;
end

function tigase.call(id, ...)
	local propose = st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = id });
	for _, media in ipairs({ ... }) do propose:tag("description", { xmlns = "urn:xmpp:jingle:apps:rtp:1", media = media }):up(); end
	return propose;
end

function tigase.notification(push)
	return push:find("{http://jabber.org/protocol/pubsub}pubsub/publish/item/{urn:xmpp:push:0}notification");
end

-- AES-128-GCM; checks the tag.
local DECRYPT = [[
import base64, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
key, iv, text = (base64.b64decode(argument) for argument in sys.argv[1:])
sys.stdout.write(AESGCM(key).decrypt(iv, text, None).decode())
]];

-- Decrypts the content of a push. Returns it and its element; nil without one.
function tigase.read(push)
	local encrypted = tigase.notification(push):get_child("encrypted", tigase.xmlns_encrypt);
	if not encrypted then return nil; end
	assert(not tigase.notification(push):get_child("x", "jabber:x:data"), "there is a summary beside it");
	local out = python(DECRYPT, tigase.key, encrypted.attr.iv, encrypted:get_text());
	return assert(json.decode(out), out), encrypted;
end

return tigase;

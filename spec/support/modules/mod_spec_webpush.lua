-- For the bench: pushes of Push 2.0 that are encrypted and signed, by mod_push2 and by OpenSSL from Lua. Prosody 13.0 has the
-- latter. Both make the same stanza: what is counted is CPU time up to where it would be sent.
local base64 = require "util.encodings".base64.encode;
local from_base64 = require "util.encodings".base64.decode;
local hashes = require "util.hashes";
local modulemanager = require "core.modulemanager";
local promise = require "util.promise";
local random = require "util.random".bytes;
local st = require "util.stanza";
local time = require "util.time";

local host = module.host;
local clock = os.clock;

-- mod_push2 is loaded after this and tells the time by this clock.
local real_now, offset = time.now, 0;
function time.now() return real_now() + offset; end

local webpush = {};
prosody.spec_webpush = webpush;

local serial = 0;

local function message()
	serial = serial + 1;
	return st.message({ to = "romeo@"..host, from = "juliet@capulet.example/balcony", type = "chat", id = "m"..serial },
		"But soft, what light through yonder window breaks?")
		:tag("request", { xmlns = "urn:xmpp:receipts" }):up()
		:tag("stanza-id", { xmlns = "urn:xmpp:sid:0", by = "romeo@"..host, id = "archived"..serial }):up();
end

local function messages(n)
	local list = {};
	for i = 1, n do list[i] = message(); end
	return list;
end

-- CPU seconds of `n` pushes of mod_push2, and the last; with `renew`, each has a token of its own.
function webpush.ours(n, renew)
	local push2 = modulemanager.get_module(host, "push2").module;
	local handlers = push2.event_handlers.data[prosody.hosts[host].events]["message/offline/handle"];
	local handler, sent, last = next(handlers), 0, nil;
	local send, list = push2.send, messages(n);
	function push2:send(stanza) --luacheck: ignore 212/self
		sent, last = sent + 1, stanza;
	end
	local start = clock();
	for i = 1, n do
		if renew then offset = offset + 12 * 3600; end
		handler({ username = "romeo", origin = prosody.hosts[host], stanza = list[i] });
	end
	local spent = clock() - start;
	push2.send = send;
	assert(sent == n, sent.." pushes of "..n);
	return spent, tostring(last);
end

-- CPU seconds of `n` messages, each of which is told to so many `clients`; the longest time that the server is held; and the last push.
function webpush.many(n, clients)
	local push2 = modulemanager.get_module(host, "push2").module;
	local handlers = push2.event_handlers.data[prosody.hosts[host].events]["message/offline/handle"];
	local handler, sent, last, slowest = next(handlers), 0, nil, 0;
	local send, add_timer, list = push2.send, push2.add_timer, messages(n);
	local function timed(action, ...)
		local began = time.monotonic();
		local ret = action(...);
		slowest = math.max(slowest, time.monotonic() - began);
		return ret;
	end
	function push2:send(stanza) --luacheck: ignore 212/self
		sent, last = sent + 1, stanza;
	end
	function push2:add_timer(delay, callback, ...)
		return add_timer(self, delay, function (...) return timed(callback, ...); end, ...);
	end
	collectgarbage();
	local start = clock();
	local function go_on(i)
		if i > n then
			push2.send, push2.add_timer = send, add_timer;
			return { spent = clock() - start; slowest = slowest; last = tostring(last) };
		end
		timed(handler, { username = "romeo", origin = prosody.hosts[host], stanza = list[i] });
		return promise.new(function (resolve)
			module:add_timer(0, function ()
				if sent < i * clients then return 0; end
				resolve(go_on(i + 1));
			end);
		end);
	end
	return go_on(1);
end

-- CPU seconds of `n` pushes by OpenSSL, and the last, for a client with these keys; with `sign`, each has a token.
function webpush.openssl(n, sign, ua_public, auth_secret, jwt_key)
	local crypto, jwt = require "util.crypto", require "util.jwt";
	local function decode(text) return from_base64((text:gsub("-", "+"):gsub("_", "/")).."=="); end
	local point, auth = decode(ua_public), decode(auth_secret);
	local theirs = crypto.import_public_ec_raw(point, "prime256v1");
	local pem = "-----BEGIN PRIVATE KEY-----\n"..jwt_key.."\n-----END PRIVATE KEY-----\n";
	local signer = jwt.new_signer("ES256", pem);
	local public = base64(crypto.import_private_pem(pem):public_raw());
	local list, last = messages(n), nil;
	local start = clock();
	for i = 1, n do
		local stanza = st.clone(list[i]);
		stanza.attr.xmlns = "jabber:client";
		local text = tostring(st.stanza("envelope", { xmlns = "urn:xmpp:sce:1" })
			:tag("content"):tag("forwarded", { xmlns = "urn:xmpp:forward:0" }):add_child(stanza):up():up()
			:text_tag("rpad", base64(random(100))));
		local own, salt = crypto.generate_p256_keypair(), random(16);
		local own_point = own:public_raw();
		local ikm = hashes.hkdf_hmac_sha256(32, own:derive(theirs), auth, "WebPush: info\0"..point..own_point);
		local key = hashes.hkdf_hmac_sha256(16, ikm, salt, "Content-Encoding: aes128gcm\0");
		local nonce = hashes.hkdf_hmac_sha256(12, ikm, salt, "Content-Encoding: nonce\0");
		local sealed = crypto.aes_128_gcm_encrypt(key, nonce, text.."\2");
		last = st.message({ to = "pusher@push2.example.test", from = host, id = "push"..i })
			:tag("notification", { xmlns = "urn:xmpp:push2:0" })
				:text_tag("client", "https://push.example.test/client"):text_tag("priority", "normal")
				:tag("encrypted", { xmlns = "urn:xmpp:sce:rfc8291:0" })
					:text_tag("payload", base64(salt.."\0\0\16\0\65"..own_point..sealed)):up();
		if sign then
			local claims = { aud = "https://push.example.test", sub = "xmpp:"..host, exp = os.time() + 12 * 3600 };
			last:text_tag("jwt", signer(claims), { key = public });
		end
	end
	return clock() - start, tostring(last);
end

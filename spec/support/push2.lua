-- A client of Push 2.0: its requests, and readers for its pushes.
local python = require "spec.support.python";
local json = require "util.json";
local st = require "util.stanza";

local push2 = { xmlns = "urn:xmpp:push2:0" };

local PREFIX = { match = "urn:xmpp:push2:match:", send = "urn:xmpp:push2:send:" };
push2.notify_only, push2.encrypted = PREFIX.send.."notify-only:0", PREFIX.send.."sce+rfc8291+rfc8292:0";

-- The client's keys: those of RFC 8291's example.
push2.ua_public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
push2.auth_secret = "BTBZMqHH6r4Tts7J_aSIgg";
local ua_private = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
-- A P-256 key, made for these specs.
push2.jwt_key = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggrtoyO933hnJfvJ3\n"
	.."qwM34uO5a2k92aB4XEVFkePjLCihRANCAAQIqk19ZM338rVVKWDWRteoox1wUVyA\n"
	.."g8PPZybfUelkPj3F6XqGfnilRasjyiyg3ouwsrwFBkMFu5Vfk1tmPE5u";

-- fields: send (profile; default notify_only), grace, filters ({ jid, "mention", "reply" } each), jwt (algorithm),
-- jwt_key, aud, ua_public, auth_secret
function push2.match(profile, fields)
	fields = fields or {};
	local match = st.stanza("match", { xmlns = push2.xmlns, profile = profile:find(":") and profile or PREFIX.match..profile });
	if fields.grace then match:text_tag("grace", tostring(fields.grace), { xmlns = push2.xmlns }); end
	for _, filter in ipairs(fields.filters or {}) do
		match:tag("filter", { xmlns = push2.xmlns, jid = filter[1] });
		for i = 2, #filter do match:tag(filter[i], { xmlns = push2.xmlns }):up(); end
		match:up();
	end
	local xmlns = fields.send or push2.notify_only;
	match:tag("send", { xmlns = xmlns });
	if xmlns == push2.encrypted then
		match:text_tag("ua-public", fields.ua_public or push2.ua_public, { xmlns = xmlns });
		match:text_tag("auth-secret", fields.auth_secret or push2.auth_secret, { xmlns = xmlns });
		if fields.jwt then
			match:text_tag("jwt-alg", fields.jwt, { xmlns = xmlns });
			match:text_tag("jwt-key", fields.jwt_key or push2.jwt_key, { xmlns = xmlns });
			match:text_tag("jwt-claim", fields.aud or "https://push.example.test", { xmlns = xmlns, name = fields.claim or "aud" });
		end
	end
	return match:reset();
end

-- fields: service, client (false for none); matches in the order of the list.
function push2.enable(fields)
	local enable = st.stanza("enable", { xmlns = push2.xmlns });
	if fields.service then enable:text_tag("service", fields.service, { xmlns = push2.xmlns }); end
	if fields.client ~= false then
		enable:text_tag("client", fields.client or "https://push.example.test/client", { xmlns = push2.xmlns });
	end
	for _, match in ipairs(fields) do enable:add_direct_child(match); end
	return enable;
end

-- What the store has of a client that wants what is important, encrypted; fields: client, service, timestamp, jwt (algorithm).
function push2.record(fields)
	local match = {
		match = PREFIX.match.."important"; send = push2.encrypted; chats = {};
		ua_public = push2.ua_public; auth_secret = push2.auth_secret;
		jwt_alg = fields.jwt; jwt_key = fields.jwt and push2.jwt_key; jwt_claims = { aud = "https://push.example.test" };
	};
	return { client = fields.client, service = fields.service, timestamp = fields.timestamp, matches = { match } };
end

function push2.iq(child)
	return st.stanza("iq", { type = "set" }):add_child(child);
end

function push2.disable()
	return push2.iq(st.stanza("disable", { xmlns = push2.xmlns }));
end

-- Returns the parts of a push that the push service reads.
function push2.read(push)
	local notification = assert(push:get_child("notification", push2.xmlns), "no notification");
	local encrypted = notification:get_child("encrypted", "urn:xmpp:sce:rfc8291:0");
	local token = notification:get_child("jwt");
	return {
		client = notification:get_child_text("client");
		priority = notification:get_child_text("priority");
		voip = notification:get_child("voip") and true or false;
		payload = encrypted and encrypted:get_child_text("payload");
		jwt = token and token:get_text();
		key = token and token.attr.key;
	};
end

-- Decrypts a payload as a client does (RFC 8291 and RFC 8188).
local DECRYPT = [=[
import base64, sys
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
def raw(text):
    return base64.urlsafe_b64decode(text + "==")
own, point, auth = (raw(argument) for argument in sys.argv[1:4])
body = base64.b64decode(sys.argv[4])
salt, size, sealed = body[:16], int.from_bytes(body[16:20], "big"), body[86:]
assert size == 4096 and body[20] == 65 and len(sys.argv[4]) <= 4096
private = ec.derive_private_key(int.from_bytes(own, "big"), ec.SECP256R1())
theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), body[21:86])
def derive(length, salt, secret, info):
    return HKDF(SHA256(), length, salt, info).derive(secret)
ikm = derive(32, auth, private.exchange(ec.ECDH(), theirs), b"WebPush: info\0" + point + body[21:86])
key, nonce = (derive(length, salt, ikm, b"Content-Encoding: " + name + b"\0") for length, name in ((16, b"aes128gcm"), (12, b"nonce")))
text = AESGCM(key).decrypt(nonce, sealed, None)
assert text[-1:] == b"\2"
sys.stdout.buffer.write(text[:-1])
]=];

-- Decrypts a payload. Returns the stanza in it, and the envelope.
function push2.decrypt(payload)
	local out = python(DECRYPT, ua_private, push2.ua_public, push2.auth_secret, payload);
	local envelope = assert(require "util.xml".parse(out), out);
	assert(envelope.name == "envelope" and envelope.attr.xmlns == "urn:xmpp:sce:1", out);
	local forwarded = envelope:get_child("content"):get_child("forwarded", "urn:xmpp:forward:0");
	return forwarded.tags[1], envelope;
end

-- Verifies JSON Web Signatures by the algorithms of RFC 7518 §3.1 and EdDSA.
local VERIFY = [=[
import base64, hmac, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils
def raw(text):
    return base64.urlsafe_b64decode(text + "==")
token, algorithm, key = sys.argv[1:4]
signed, signature = token.rsplit(".", 1)
header, claims = (json.loads(raw(part)) for part in signed.split("."))
assert header == {"typ": "JWT", "alg": algorithm}, header
signed, signature = signed.encode(), raw(signature)
sha = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}.get(algorithm[2:])
family = algorithm[:2]
if family == "HS":
    assert hmac.compare_digest(hmac.digest(raw(key), signed, "sha" + algorithm[2:]), signature)
else:
    public = base64.b64decode(key)
    if family == "ES":
        curve = {"256": ec.SECP256R1, "384": ec.SECP384R1, "512": ec.SECP521R1}[algorithm[2:]]()
        half = len(signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, public)
        key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(sha()))
    elif family == "Ed":
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    else:
        length = len(public)
        def der(tag, body):
            size = len(body)
            head = bytes([size]) if size < 128 else bytes([0x82, size >> 8, size & 255])
            return bytes([tag]) + head + body
        rsa = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
        public = serialization.load_der_public_key(der(0x30, rsa + der(3, b"\0" + public)))
        scheme = padding.PKCS1v15() if family == "RS" else padding.PSS(padding.MGF1(sha()), sha().digest_size)
        public.verify(signature, signed, scheme, sha())
print(json.dumps(claims))
]=];

-- Verifies a token and returns its claims; `key` is the public key, or for the HS algorithms the secret in base64.
function push2.verify(token, algorithm, key)
	local out = python(VERIFY, token, algorithm, key);
	return assert(json.decode(out), out);
end

-- Generates a key in PKCS#8, without the first and last line; `bits` of RSA.
local GENERATE = [=[
import sys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
kind, bits = sys.argv[1:]
curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
if kind in curves:
    key = ec.generate_private_key(curves[kind]())
elif kind == "EdDSA":
    key = ed25519.Ed25519PrivateKey.generate()
else:
    key = rsa.generate_private_key(65537, int(bits))
form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
print("".join(key.private_bytes(*form).decode().splitlines(True)[1:-1]))
]=];

function push2.generate(algorithm, bits)
	return (python(GENERATE, algorithm, tostring(bits or 2048)):gsub("%s+$", ""));
end

return push2;

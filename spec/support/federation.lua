-- Two servers that talk to each other over TLS on loopback: home, a Prosody, where the users are, and away, where the app server is.
--
--   local home, away = federation.start { version = "13.0", trust = "certificates" | "dialback", options = …, away = { … } }
--   local home, away = federation.start { version = "13.0", trust = …, options = …, ejabberd = true }
--
-- options, enable and disable are home's; `away` has those of prosody.start for the other, or it is an ejabberd. All
-- names of away's app servers are known to home: push.away.test (an external component), those of `away.components`, and ejabberd's.
--
--   local phone = federation.sleeps(home, "push.away.test", { options = { secret = "s" } })      romeo's, which the app server wakes
--   federation.answered(home)      waits for the answer of the app server, or for the error that stands for it
--   federation.stream(home, "push.away.test", "secure")      a field of home's stream to that name, if there is one
local ejabberd = require "spec.support.ejabberd";
local prosody = require "spec.support.prosody";
local client = require "spec.support.client";
local net = require "spec.support.net";
local lfs = require "lfs";

local federation = { push = ejabberd.names.component };

local HOME, AWAY = prosody.host, ejabberd.names.host;

-- A CA, and a certificate of it for all names: DIR/ca.crt, DIR/NAME.crt, DIR/NAME.key. Each server's own without a CA.
local CERTIFICATES = [=[
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
folder, names = sys.argv[1], sys.argv[2:]
now = datetime.datetime.now(datetime.timezone.utc)
def name(text):
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])
def make(subject, key, issuer, signer, extension):
    return (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30)).add_extension(*extension).sign(signer, hashes.SHA256()))
def write(path, data):
    open(f"{folder}/{path}", "wb").write(data)
pem = serialization.Encoding.PEM
authority = ec.generate_private_key(ec.SECP256R1())
write("ca.crt", make("spec", authority, "spec", authority, (x509.BasicConstraints(True, None), True)).public_bytes(pem))
for host in names:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = make(host, key, "spec", authority, (x509.SubjectAlternativeName([x509.DNSName(host)]), False))
    write(host + ".crt", certificate.public_bytes(pem))
    write(host + ".key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
]=];

local function make_certificates(names)
	local dir = os.tmpname();
	os.remove(dir);
	assert(lfs.mkdir(dir));
	local script = io.open(dir.."/make.py", "w");
	script:write(CERTIFICATES);
	script:close();
	assert(os.execute(("python3 %s/make.py %s %s"):format(dir, dir, table.concat(names, " "))));
	return dir;
end

local function list(...)
	local all = {};
	for _, part in ipairs({ ... }) do
		for _, item in ipairs(part) do table.insert(all, item); end
	end
	return all;
end

function federation.start(opts)
	local away_opts = opts.away or {};
	local components = { [federation.push] = "component" };
	if opts.ejabberd then components[ejabberd.names.pubsub] = "pubsub"; end
	for name, module in pairs(away_opts.components or {}) do components[name] = module; end
	local home_port, away_port = net.free_port(), net.free_port();
	local ports, names = { [HOME] = home_port, [AWAY] = away_port }, { HOME, AWAY };
	for name in pairs(components) do
		ports[name] = away_port;
		table.insert(names, name);
	end
	local dir = make_certificates(names);
	local by_dialback = opts.trust == "dialback";
	local function start(port, own)
		local global = {
			modules_disabled = { "posix" }; s2s_ports = { port }; spec_dns = ports; component_secret = "secret"; certificates = dir;
			s2s_require_encryption = true; s2s_secure_auth = not by_dialback; ssl = not by_dialback and { cafile = dir.."/ca.crt" } or nil;
		};
		for name, value in pairs(own.global or {}) do global[name] = value; end
		local all = {};
		for name, value in pairs(own) do all[name] = value; end
		all.version, all.module, all.s2s, all.global = opts.version, "ours", true, global;
		all.enable = list({ "tls", "spec_dns", by_dialback and "dialback" or nil }, own.enable or {});
		return prosody.start(all);
	end
	local away;
	if opts.ejabberd then
		away = ejabberd.start { certificates = dir, trust = opts.trust, s2s_port = away_port, home = HOME, home_port = home_port };
	else
		local away_all = {};
		for name, value in pairs(away_opts) do away_all[name] = value; end
		away_all.host, away_all.components = AWAY, components;
		away = start(away_port, away_all);
	end
	local home = start(home_port, { options = opts.options, enable = opts.enable, disable = opts.disable });
	home.certificates = dir;
	return home, away;
end

function federation.sleeps(home, jid, fields)
	local phone = client.connect(home, "romeo", { resource = "phone", smacks = true });
	fields = fields or {};
	fields.jid, fields.node = jid, "n";
	local answer = phone:enable_push(fields);
	assert(answer.attr.type == "result", tostring(answer));
	phone:acked();
	phone:sleep();
	return phone;
end

function federation.answered(home)
	net.wait(function () return home:in_flight() == 0; end, "the answer");
end

function federation.stream(home, name, what)
	return home:eval([[
		local session = prosody.hosts[module.host].s2sout[...];
		return session and session[select(2, ...)];
	]], name, what);
end

function federation.stop(home, away)
	home:stop();
	away:stop();
	os.execute("rm -r "..home.certificates);
end

return federation;

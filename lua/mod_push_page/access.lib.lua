-- Authenticates the caller of a request: by the account's own password (HTTP Basic) or by a token of mod_tokenauth, over HTTPS or
-- from this machine. Also checks that a change was asked for on our own page.

local base64 = require "util.encodings".base64;
local cache = require "util.cache";
local hashes = require "util.hashes";
local jid = require "util.jid";
local modulemanager = require "core.modulemanager";
local pton = require "util.net".pton;
local random = require "util.random";
local throttle = require "util.throttle";
local usermanager = require "core.usermanager";

local host = module.host;

-- Failed logins: how many at once, and in how many seconds as many more. An account may be tried from many addresses.
local LIMITS = { address = { 10, 300 }, account = { 30, 900 } };
-- Addresses and accounts whose failures are remembered.
local REMEMBERED = 10000;
-- Headers that a proxy adds. A request with one of them is not from this machine, even if the connection is.
local FORWARDED = { "forwarded", "via", "x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "x_real_ip" };
-- Bytes of an IPv6 address that identify a network. The owner of a network has all addresses in it.
local NETWORK = 8;
local REALM = 'Basic realm="Push notifications", charset="UTF-8"';

-- The permission to see the administrator's part. On 13.0 a role has it; on 0.12 the accounts in `admins` have it.
local PERMISSION = ":administer";
if module.default_permission then module:default_permission("prosody:admin", PERMISSION); end

local secret = random.bytes(32);
local failures = { address = cache.new(REMEMBERED), account = cache.new(REMEMBERED) };

local function limit_of(kind, key)
	local limit = failures[kind]:get(key) or throttle.create(LIMITS[kind][1], LIMITS[kind][2]);
	failures[kind]:set(key, limit);
	return limit;
end

local function network_of(address)
	local packed = pton((address:gsub("^::ffff:", "")));
	return packed and packed:sub(1, NETWORK) or address;
end

local function is_from_here(request)
	for _, header in ipairs(FORWARDED) do
		if request.headers[header] then return false; end
	end
	local address = request.ip:gsub("^::ffff:", "");
	return address == "::1" or address:find("^127%.%d+%.%d+%.%d+$") ~= nil;
end

-- COMPAT 0.12 has no disabled accounts.
local function is_enabled(user)
	return usermanager.user_is_enabled == nil or usermanager.user_is_enabled(user, host) ~= false;
end

-- COMPAT 0.12 has no roles with permissions. `role`: the role of a token, if there is one.
local function is_admin(user, role)
	if not module.may then return usermanager.is_admin(user.."@"..host, host) and true or false; end
	role = role or usermanager.get_user_role(user, host);
	return role and role:may(module.name..PERMISSION) and true or false;
end

-- Returns the user by a password. Otherwise returns nil, the account that was tried, and whether too many logins to it have failed.
local function by_password(encoded)
	local name, password = (base64.decode(encoded) or ""):match("^([^:]*):(.*)$");
	if not name then return; end
	local user, named_host = jid.split(jid.prep(name:find("@", 1, true) and name or name.."@"..host));
	if not user or named_host ~= host then return; end
	if not limit_of("account", user):peek(1) then return nil, user, true; end
	-- mod_auth_internal_plain raises an error if there is no such user.
	local is_his = usermanager.user_exists(user, host) and usermanager.test_password(user, host, password);
	if not is_his or not is_enabled(user) then return nil, user; end
	return { user = user, is_admin = is_admin(user) };
end

-- Returns the user by a token, with the token's rights. COMPAT 0.12's tokens have no role, so they never have the administrator's
-- rights.
local function by_token(token)
	local tokens = modulemanager.get_module(host, "tokenauth");
	local info = tokens and tokens.get_token_info(token);
	local user, named_host = jid.split(info and info.jid);
	if not user or named_host ~= host or not is_enabled(user) then return; end
	if not tokens.get_token_session then return { user = user, is_admin = false }; end
	local session = tokens.get_token_session(token);
	return session and { user = user, is_admin = is_admin(user, session.role) };
end

-- Whether another site made the browser send the request. A link to the page may be followed: that only reads the page.
local function is_cross_site(request)
	local site, mode = request.headers.sec_fetch_site, request.headers.sec_fetch_mode;
	if not site or site == "same-origin" or site == "none" then return false; end
	return request.method ~= "GET" or mode ~= "navigate";
end

-- Returns the caller: user, is_admin; or nil, the status, a sentence, and headers.
local function who(request)
	if not request.secure and not is_from_here(request) then
		return nil, 403, "This page needs HTTPS: a password does not travel in the clear. A proxy in front of Prosody has to be in "
			.."trusted_proxies, and to set X-Forwarded-For and X-Forwarded-Proto itself.";
	elseif is_cross_site(request) then
		return nil, 403, "Another site asked for this.";
	end
	local scheme, credentials = (request.headers.authorization or ""):match("^(%S+) +(%S+) *$");
	scheme = scheme and scheme:lower();
	local by_address = limit_of("address", network_of(request.ip));
	local caller, account, is_throttled;
	if not by_address:peek(1) then
		is_throttled = true;
	elseif scheme == "basic" then
		caller, account, is_throttled = by_password(credentials);
	elseif scheme == "bearer" then
		caller = by_token(credentials);
	end
	if caller then return caller; end
	if is_throttled then
		return nil, 429, "Too many logins have failed. Wait some minutes, and try again.", { retry_after = "60" };
	elseif scheme then
		by_address:poll(1);
		if account then limit_of("account", account):poll(1); end
		module:log("info", "Login to the push page failed, from %s", request.ip);
	end
	return nil, 401, "Log in with your XMPP address or user name, and its password.", { www_authenticate = REALM };
end

-- Returns the mark of the browser, in a cookie that no other site can make it send.
local function mark_of(request)
	return (";"..(request.headers.cookie or "")):match(";%s*push_mark=([%w_-]+)");
end

local function token_for(mark, user)
	return hashes.hmac_sha256(secret, mark.."\0"..user, true);
end

-- Returns the token that a change must have, and the cookie to set, if the browser has none. The cookie's path is that of the page,
-- as the browser sees it.
local function new_token(request, user)
	local mark, cookie = mark_of(request), nil;
	if not mark then
		mark = hashes.sha256(random.bytes(32), true);
		cookie = ("push_mark=%s; HttpOnly; SameSite=Strict%s"):format(mark, request.secure and "; Secure" or "");
	end
	return token_for(mark, user), cookie;
end

local function is_own(request, user, token)
	local mark = mark_of(request);
	return mark ~= nil and token ~= nil and hashes.equals(token_for(mark, user), token);
end

return { who = who, new_token = new_token, is_own = is_own };

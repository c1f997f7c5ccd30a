-- A real browser: Debian's Chromium, by WebDriver (W3C). `make deps` unpacks it, and nothing of it is installed.
--
--   local browser = browser.start()
--   local window = browser:open(server)      a browser of its own, with nothing remembered; to it all hosts but server's are unknown
--   window:go("/push/", "romeo")             logs in; window:go("/push/") thereafter
--   window:text("#devices")  window:click("#devices button")  window:fill("input", "text")  window:run("return 1 + 1")
--   window:expect("#answer", "taken")        waits until the element has the text, and gives all of its text
--   window:requests()                        addresses that were asked since the last call
--   window:complaints()                      what the browser's console has, since the last call
--   window:look { width = 390, height = 720, dark = true }  window:screenshot(file, { width = 390, height = 720 }, "#charts")
--   browser:stop()
local paths = require "spec.support.paths";
local net = require "spec.support.net";
local http = require "spec.support.http";
local base64 = require "util.encodings".base64.decode;
local json = require "util.json";
local lfs = require "lfs";

local ROOT = paths.server("chromium");
local ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

-- The machine's fonts, or those that came along.
local FONTS = [[<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>ROOT/usr/share/fonts</dir>
<alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias><cachedir>DIR/fonts</cachedir></fontconfig>]];
-- The driver ends with us. It may leave browsers behind, which are known by their folder.
local MINDER = [[
trap '' INT
cd DIR
HOME=DIR TMPDIR=DIR FONTCONFIG_FILE=DIR/fonts.conf LD_LIBRARY_PATH=LIBRARIES ROOT/usr/bin/chromedriver --port=PORT >DIR/log 2>&1 &
read -r _
kill $! 2>/dev/null
wait
option=--user-data-dir
for process in /proc/[0-9]*; do
	grep -sq -e "$option=DIR/" "$process/cmdline" && kill -KILL "${process#/proc/}"
done
if [ "$KEEP" ]; then echo "kept DIR"; else rm -rf DIR || rm -rf DIR; fi
]];

local browser, methods, window = {}, {}, {};
local mt, window_mt = { __index = methods }, { __index = window };

function browser.start()
	assert(lfs.attributes(ROOT.."/usr/bin/chromedriver"), "make deps unpacks the browser");
	local self = setmetatable({ dir = os.tmpname(), http_port = net.free_port(), host = "127.0.0.1" }, mt);
	os.remove(self.dir);
	assert(lfs.mkdir(self.dir));
	local file = assert(io.open(self.dir.."/fonts.conf", "w"));
	file:write((FONTS:gsub("%u%u%u+", { ROOT = ROOT, DIR = self.dir })));
	file:close();
	local libraries = paths.libraries(ROOT, { "pulseaudio", "nss" });
	local places = { DIR = self.dir, ROOT = ROOT, PORT = tostring(self.http_port), LIBRARIES = libraries };
	self.process = assert(io.popen(MINDER:gsub("%f[%u_]%u+%f[^%u_]", places), "w"));
	net.wait(function () return self:ask("GET", "/status").ready; end, "the browser's driver");
	return self;
end

function methods:stop()
	self.process:close();
end

-- A command of WebDriver; what it gives, or an error.
function methods:ask(method, path, parameters, may_fail)
	local body = parameters and json.encode(parameters);
	if body == "[]" then body = "{}"; end
	local answer = http.request(self, method, path, body, { type = "application/json", host = "127.0.0.1:"..self.http_port, timeout = 60 });
	local value = answer.json().value;
	if answer.status == 200 then return value; end
	if may_fail then return nil, value.error; end
	error(("%s %s: %s"):format(method, path, value.message), 0);
end

function methods:open(server)
	local session = self:ask("POST", "/session", { capabilities = { alwaysMatch = {
		["goog:chromeOptions"] = {
			binary = ROOT.."/usr/lib/chromium/chromium";
			args = {
				"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
				"--disable-background-networking", "--disable-component-update",
				"--host-resolver-rules=MAP "..server.host.." 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
			};
		};
		["goog:loggingPrefs"] = { performance = "ALL", browser = "ALL" };
	} } });
	return setmetatable({ browser = self, server = server, path = "/session/"..session.sessionId }, window_mt);
end

function window:ask(method, path, parameters, may_fail)
	return self.browser:ask(method, self.path..path, parameters, may_fail);
end

function window:close()
	self:ask("DELETE", "");
end

-- Where a path of the server is; with the user's name and password, if a user is given.
function window:address(path, user)
	local server = self.server;
	local login = user and ("%s:%s@"):format(user, server.password) or "";
	return ("http://%s%s:%d%s"):format(login, server.host, server.http_port, path);
end

function window:go(path, user)
	self:ask("POST", "/url", { url = self:address(path, user) });
end

function window:run(script, ...)
	return self:ask("POST", "/execute/sync", { script = script, args = require "util.array" { ... } });
end

function window:find(css)
	local found = self:ask("POST", "/element", { using = "css selector", value = css });
	return found[ELEMENT];
end

function window:click(css)
	self:ask("POST", "/element/"..self:find(css).."/click", {});
end

function window:fill(css, text)
	self:ask("POST", "/element/"..self:find(css).."/value", { text = text });
end

-- The text as people see it, or nil if there is no such element; without a script of ours.
function window:text(css)
	local found = self:ask("POST", "/element", { using = "css selector", value = css }, true);
	return found and self:ask("GET", "/element/"..found[ELEMENT].."/text", nil, true);
end

function window:expect(css, text)
	local seen;
	local ok = pcall(net.wait, function ()
		seen = self:text(css);
		return seen and seen:find(text, 1, true);
	end, "text", 20);
	if not ok then error(("%s has not %q, but: %s"):format(css, text, tostring(seen)), 2); end
	return seen;
end

local function log(self, kind)
	return self:ask("POST", "/se/log", { type = kind });
end

function window:requests()
	local addresses = {};
	for _, entry in ipairs(log(self, "performance")) do
		local message = json.decode(entry.message).message;
		if message.method == "Network.requestWillBeSent" then addresses[#addresses + 1] = message.params.request.url; end
	end
	return addresses;
end

function window:complaints()
	local found = {};
	for _, entry in ipairs(log(self, "browser")) do found[#found + 1] = entry.message; end
	return found;
end

local function protocol(self, command, parameters)
	return self:ask("POST", "/goog/cdp/execute", { cmd = command, params = parameters });
end

-- How people look at it: width and height in pixels, dark.
function window:look(how)
	protocol(self, "Emulation.setDeviceMetricsOverride", {
		width = how.width, height = how.height, deviceScaleFactor = 1, mobile = how.width < 600;
	});
	protocol(self, "Emulation.setEmulatedMedia", {
		features = require "util.array" { { name = "prefers-color-scheme", value = how.dark and "dark" or "light" } };
	});
end

function window:without_script()
	protocol(self, "Emulation.setScriptExecutionDisabled", { value = true });
end

-- What can be seen, as PNG; `from`: of the element that it begins with.
function window:screenshot(file, how, from)
	local top = from and self:run("return document.querySelector(arguments[0]).getBoundingClientRect().top + scrollY", from) - 12 or 0;
	local shot = protocol(self, "Page.captureScreenshot", {
		captureBeyondViewport = true; clip = { x = 0, y = top, width = how.width, height = how.height, scale = 1 };
	});
	local out = assert(io.open(file, "w"));
	out:write(base64(shot.data));
	out:close();
end

return browser;

-- `make install` installs everything that a server needs.
local http = require "spec.support.http";
local prosody = require "spec.support.prosody";
local wakes = require "spec.support.wakes";

describe("make install", function ()
	local dest = os.tmpname();
	setup(function ()
		os.remove(dest);
		assert(os.execute("make -s install DESTDIR="..dest.." >"..dest..".log 2>&1"), dest..".log says why not");
	end);
	teardown(function () os.execute("rm -rf "..dest.." "..dest..".log"); end);

	it("installs the built library when root has another cargo or none", function ()
		local bin = os.tmpname();
		os.remove(bin);
		assert(os.execute(("mkdir %s && printf '#!/bin/sh\\nexit 1\\n' >%s/cargo && chmod 755 %s/cargo"):format(bin, bin, bin)));
		assert(os.execute(("SUDO_USER=somebody PATH=%s:$PATH make -s install DESTDIR=%s/root >%s.log 2>&1"):format(bin, dest, dest)),
			dest..".log says why not");
		os.execute("rm -rf "..bin.." "..dest.."/root");
	end);

	for _, version in ipairs({ "0.12", "13.0" }) do
		it("makes pushes work on Prosody "..version, function ()
			local server = prosody.start {
				version = version; module = "ours";
				modules = dest.."/usr/local/lib/prosody/modules"; library = dest.."/usr/local/lib/lua/5.4/?.so";
				http = true; enable = { "push_page" };
			};
			assert.is_true(wakes(server));
			for _, file in ipairs({ "", "page.css", "page.js", "icon.svg" }) do
				assert.equal(200, http.get(server, "/push/"..file, { user = "romeo" }).status, file);
			end
			server:stop();
		end);
	end
end);

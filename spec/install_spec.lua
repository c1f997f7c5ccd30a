-- What `make install` leaves behind is all that a server needs.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";

describe("make install", function ()
	local dest = os.tmpname();
	setup(function ()
		os.remove(dest);
		assert(os.execute("make -s install DESTDIR="..dest.." >"..dest..".log 2>&1"), dest..".log says why not");
	end);
	teardown(function () os.execute("rm -rf "..dest.." "..dest..".log"); end);

	for _, version in ipairs({ "0.12", "13.0" }) do
		it("makes pushes work on Prosody "..version, function ()
			local server = prosody.start {
				version = version; module = "ours";
				modules = dest.."/usr/local/lib/prosody/modules"; library = dest.."/usr/local/lib/lua/5.4/?.so";
			};
			local app = appserver.connect(server, "push.example.test");
			local phone = client.connect(server, "romeo");
			phone:enable_push({ jid = app.jid, node = "n" });
			phone:close();
			client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
			assert.equal("n", appserver.read(app:expect(1)).node);
			server:stop();
		end);
	end
end);

-- busted output: a line for each spec, failures in full, and `N passed, N failed` at the end. A pending spec counts as failed, because
-- it proves nothing.
local base = require "busted.outputHandlers.base";

return function ()
	local busted = require "busted";
	local handler = base();
	local passed, failed = 0, 0;
	local started;

	local function fail(element, status)
		failed = failed + 1;
		io.write(("FAILED  %s (%s)\n"):format(handler.getFullName(element), status));
	end

	busted.subscribe({ "test", "start" }, function ()
		started = busted.monotime();
		return nil, true;
	end);

	busted.subscribe({ "test", "end" }, function (element, _, status)
		if status == "success" then
			passed = passed + 1;
			io.write(("ok      %s (%.0f ms)\n"):format(handler.getFullName(element), (busted.monotime() - started) * 1000));
		else
			fail(element, status == "pending" and "not run" or status);
		end
		io.flush();
		return nil, true;
	end);

	local function explain(element, _, message, trace)
		local text = ("%s\n%s"):format(message, trace and trace.traceback or "");
		io.write("        ", (text:gsub("\n", "\n        ")), "\n");
		-- Errors outside a test: a file that does not load, or a setup that fails.
		if element.descriptor ~= "it" then fail(element, "error"); end
		return nil, true;
	end
	busted.subscribe({ "failure" }, explain);
	busted.subscribe({ "error" }, explain);

	busted.subscribe({ "exit" }, function ()
		io.write(("%d passed, %d failed\n"):format(passed, failed));
		if failed > 0 or passed == 0 then os.exit(1, true); end
		return nil, true;
	end);

	return handler;
end

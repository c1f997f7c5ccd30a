-- Faults that specs put into a server, from the next load of the module on: stores that fail or are slow, a library that raises or
-- panics, a clock that is set ahead.
local faulty = {};

-- Makes reading or writing registrations (`method`: "get" or "set") fail, or a method of the store `name`: by an error that is raised,
-- if `how` is "raise", otherwise by `how` as a returned error. Without `method` the fault ends. `loaded` is the module that is loaded anew.
function faulty.store(server, method, how, name, loaded)
	server:eval([[
		local method, how, faulty_name = ...;
		prosody.store_works = false;
		local storagemanager = require "core.storagemanager";
		prosody.sound_open = prosody.sound_open or storagemanager.open;
		storagemanager.open = function (host, name, kind)
			local store = prosody.sound_open(host, name, kind);
			if name ~= faulty_name or not method then return store; end
			return setmetatable({ [method] = function (_, ...)
				if prosody.store_works then return store[method](store, ...); end
				if how == "raise" then error("the disk is on fire"); end
				return nil, how;
			end }, { __index = function (_, key)
				return function (_, ...) return store[key](store, ...); end
			end });
		end
	]], method, how, name or "cloud_notify");
	server:reload(loaded);
end

-- Lets the methods that faulty.store() made fail work again, or fail again, without loading the module anew.
function faulty.store_works(server, works)
	server:eval("prosody.store_works = ...", works);
end

-- Makes the store wait after each read and before each write, for 0.01 seconds, or for the first of prosody.pauses if it has one.
function faulty.slow_store(server)
	server:eval([[
		prosody.pauses = {};
		local async = require "util.async";
		local storagemanager = require "core.storagemanager";
		prosody.sound_open = prosody.sound_open or storagemanager.open;
		local function pause()
			local wait, done = async.waiter();
			module:add_timer(table.remove(prosody.pauses, 1) or 0.01, function () done(); end);
			wait();
		end
		storagemanager.open = function (host, name, kind)
			local store = prosody.sound_open(host, name, kind);
			if name ~= "cloud_notify" then return store; end
			return {
				get = function (_, user)
					local records = store:get(user);
					pause();
					return records;
				end;
				set = function (_, user, records)
					pause();
					return store:set(user, records);
				end;
			};
		end
	]]);
	server:reload();
end

-- Makes every method of the library whose name matches raise, as for wrong arguments, or with `how` = "panic" as after a panic in
-- Rust. Without a pattern the fault ends.
function faulty.library(server, pattern, how)
	server:eval([[
		local pattern, how = ...;
		local library = require "prosody_push";
		prosody.sound_new = prosody.sound_new or library.new;
		library.new = function (...)
			local engine = prosody.sound_new(...);
			return setmetatable({}, { __index = function (_, name)
				return function (_, ...)
					if pattern and name:find(pattern) then
						if how == "panic" then return engine:panic(); end
						return engine[name](engine, {}, {}, {}, {}, {});
					end
					return engine[name](engine, ...);
				end
			end });
		end
	]], pattern, how);
	server:reload();
end

-- Makes the module's timers fire within 0.05 seconds, and lets faulty.ahead(server, seconds) set the clock ahead.
function faulty.clock(server, name)
	server:eval([[
		local time, timer = require "util.time", require "util.timer";
		local now, monotonic, add_task = time.now, time.monotonic, timer.add_task;
		prosody.ahead = 0;
		time.now = function () return now() + prosody.ahead; end
		time.monotonic = function () return monotonic() + prosody.ahead; end
		timer.add_task = function (delay, ...)
			return add_task(math.min(delay, 0.05), ...);
		end
	]]);
	server:reload(name);
end

function faulty.ahead(server, seconds)
	server:eval("prosody.ahead = ...", seconds);
end

return faulty;

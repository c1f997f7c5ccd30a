-- A private PostgreSQL on loopback, started at its first use. It ends, and its folder is removed, with the process.
--
--   local options = postgresql.database()      a new database, as a value for Prosody's option `sql`
--   postgresql.stop()  postgresql.start()      with the same data
local paths = require "spec.support.paths";
local net = require "spec.support.net";
local DBI = require "DBI";
local lfs = require "lfs";

local postgresql = {};

local BIN = "usr/lib/postgresql/15/bin";
local USER = "postgres";

-- PostgreSQL does not run as root, and another user may not be able to read the work tree, so it runs from a copy. When the shell's input
-- ends, the server ends. The folder is removed, too, unless a line of input came before.
local MINDER = [[
trap '' INT
cd DIR
as() { if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else exec "$@"; fi; }
if [ ! -d data ]; then
	cp -r PACKAGE/usr usr
	mkdir data
	if [ "$(id -u)" = 0 ]; then chown nobody:nogroup data; fi
	(as BIN/initdb -D data -U USER -A trust --locale=C -E UTF8 --no-sync >out 2>&1)
fi
as BIN/postgres -D data -h 127.0.0.1 -p PORT -k '' -F -c jit=off >>out 2>&1 &
read -r again
kill -INT $! 2>/dev/null
wait
if [ -z "$again" ]; then rm -rf DIR; fi
]];

local dir, port, process;
local databases = 0;

local function connect(database)
	return DBI.Connect("PostgreSQL", database, USER, nil, "127.0.0.1", port);
end

function postgresql.start()
	assert(not process, "PostgreSQL runs already");
	if not dir then
		dir, port = os.tmpname(), net.free_port();
		os.remove(dir);
		assert(lfs.mkdir(dir));
	end
	process = io.popen(MINDER:gsub("%u%u+", {
		DIR = dir, PACKAGE = paths.server("postgresql"), BIN = BIN, USER = USER, PORT = tostring(port),
	}), "w");
	local err;
	local ok = pcall(net.wait, function ()
		local connection;
		connection, err = connect("postgres");
		return connection and connection:close();
	end, "PostgreSQL", 30);
	if ok then return; end
	local out = io.open(dir.."/out");
	error(("PostgreSQL did not start: %s\n%s"):format(err, out and out:read("a") or ""), 0);
end

function postgresql.stop()
	process:write("again\n");
	process:close();
	process = nil;
end

function postgresql.database()
	if not process then postgresql.start(); end
	databases = databases + 1;
	local name = "prosody"..databases;
	local connection = assert(connect("postgres"));
	connection:autocommit(true);
	assert(DBI.Do(connection, "CREATE DATABASE "..name));
	connection:close();
	return { driver = "PostgreSQL", database = name, username = USER, password = "", host = "127.0.0.1", port = port };
end

return postgresql;

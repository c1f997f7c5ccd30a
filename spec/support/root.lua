-- A clean Debian in a folder of its own, with the machine's network. Needs root.
--
--   local debian = root.bootstrap("trixie")      with an architecture, "arm64", foreign programs run in qemu
--   debian:run("apt-get install …")      returns the output, or raises it if the command fails
--   debian:start("prosody", "prosody -F")      runs as this user until debian:stop(); its output goes to /output
--   debian:read(path)  debian:write(path, text)
--   debian:add(file)      copies a file of the machine into the root folder and returns its path there
--   debian:add_tree(path)      copies the work tree, except the files in .containerignore
--   debian:remove()
--
-- Everything runs in namespaces of its own, whose processes and mounts end with their first process. The first process and the folder
-- go when this process ends, in any way.
local root = {};
local methods = {};
local mt = { __index = methods };

local NAMESPACES = "unshare --mount --pid --fork --kill-child ";
local ENVIRONMENT = "PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive";
-- Removes the folder twice, because a process that is being killed may still write.
local REMOVER = "trap '' INT; read -r _; rm -rf --one-file-system %s || rm -rf --one-file-system %s";
-- All processes in the namespaces end with `unshare`'s child, which has ten seconds to end.
local MINDER = [[
trap '' INT
COMMAND </dev/null >DIR/output 2>&1 &
unshare=$!
read -r _
child=$(cat /proc/$unshare/task/$unshare/children 2>/dev/null) && kill $child
timeout 10 tail --pid=$unshare -f /dev/null || kill -9 $child
wait
]];

local function run(command)
	local process = assert(io.popen("exec setpriv --pdeathsig KILL "..command.." </dev/null 2>&1"));
	local output = process:read("a");
	if not process:close() then error(command.."\n"..output, 0); end
	return output;
end

local function new()
	local dir = run("mktemp -d"):match("%S+");
	-- Other users than root must be able to read the new root folder.
	run("chmod 755 "..dir);
	return setmetatable({ dir = dir, remover = assert(io.popen(REMOVER:gsub("%%s", dir), "w")) }, mt);
end

function root.bootstrap(suite, architecture)
	local self = new();
	local ok, err = pcall(run, ("%s--mount-proc spec/support/bootstrap %s %s %s"):format(
		NAMESPACES, suite, self.dir, architecture and "--architectures="..architecture or ""));
	if ok then return self; end
	self:remove();
	error(err, 0);
end

-- Returns the numeric ids of a user: by name, chroot might use the machine's user or group.
local function ids(self, user)
	return (("\n"..self:read("/etc/passwd")):match("\n"..user..":[^:]*:(%d+:%d+):") or error(user.." is no user in "..self.dir));
end

local function inside(self, command, user)
	return NAMESPACES..("--mount-proc=%s/proc env -i %s chroot --groups= --userspec=%s %s sh -euc '%s'")
		:format(self.dir, ENVIRONMENT, ids(self, user or "root"), self.dir, command:gsub("'", "'\\''"));
end

function methods:run(command)
	return run(inside(self, command));
end

function methods:start(user, command)
	local places = { COMMAND = inside(self, "exec "..command, user), DIR = self.dir };
	self.process = assert(io.popen(MINDER:gsub("%u+", places), "w"));
end

function methods:stop()
	if not self.process then return; end
	self.process:close();
	self.process = nil;
end

function methods:remove()
	self:stop();
	self.remover:close();
end

function methods:add(file)
	run(("cp %s %s/"):format(file, self.dir));
	return file:match("/[^/]+$");
end

function methods:add_tree(path)
	run(("sh -c 'tar --create --exclude-from=.containerignore --owner=0 --group=0 . | tar --extract --directory=%s%s'")
		:format(self.dir, path));
end

function methods:read(path)
	local file = io.open(self.dir..path);
	local text = file and file:read("a") or "";
	if file then file:close(); end
	return text;
end

function methods:write(path, text)
	local file = assert(io.open(self.dir..path, "w"));
	file:write(text);
	file:close();
end

return root;

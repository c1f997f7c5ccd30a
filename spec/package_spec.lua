-- The package's version, which packaging/version computes in a repository of its own, and the conditions of make release.
local paths = require "spec.support.paths";

describe("the package's version", function ()
	local dir = os.tmpname();
	os.remove(dir);
	local QUIET_GIT = "git -c user.name=n -c user.email=e -c commit.gpgsign=false";

	local function run(command)
		local process = assert(io.popen(("cd %s && (%s) 2>&1"):format(dir, command)));
		local output = process:read("a"):gsub("\n$", "");
		return output, process:close();
	end

	local function version()
		return (run("packaging/version"));
	end

	-- Makes a commit with this time on 2026-11-25.
	local function commit(time)
		assert(select(2, run(("export GIT_COMMITTER_DATE='2026-11-25T%sZ'; %s commit -q --allow-empty -m c"):format(time, QUIET_GIT))));
	end

	local function is_newer(one, other)
		return os.execute(("dpkg --compare-versions '%s' gt '%s'"):format(one, other));
	end

	setup(function ()
		assert(os.execute(("mkdir %s && cd %s && cp -a Makefile packaging %s"):format(dir, paths.root, dir)));
		assert(os.execute(("printf 'version = \"0.2.0\"\\n' >%s/Cargo.toml"):format(dir)));
	end);
	teardown(function () os.execute("rm -rf "..dir); end);

	it("is the release's version without git", function ()
		assert.equal("0.2.0", version());
	end);

	it("grows with each commit, up to the release and beyond", function ()
		run("git init -q . && git add .");
		local versions = {};
		for _, time in ipairs({ "09:59:59", "10:00:00", "10:00:01" }) do
			commit(time);
			versions[#versions + 1] = version();
		end
		assert.matches("^0%.2%.0~git20261125%.100001%.%x%x%x%x%x%x%x$", versions[3]);
		run(QUIET_GIT.." tag -a -m t v0.2.0");
		versions[#versions + 1] = version();
		assert.equal("0.2.0", versions[4]);
		commit("10:00:02");
		versions[#versions + 1] = version();
		for i = 2, #versions do assert.is_true(is_newer(versions[i], versions[i - 1]), versions[i].." after "..versions[i - 1]); end
	end);

	it("grows with uncommitted changes", function ()
		local before = version();
		run("echo '# changed' >>Makefile");
		assert.is_true(is_newer(version(), before), version());
		-- An outer make may have set DEB_VERSION.
		local output, ok = run("env -u DEB_VERSION make release");
		assert.is_nil(ok);
		assert.matches("make release wants the tag v0%.2%.0, with nothing changed%. This is 0%.2%.0%+git", output);
		run("git checkout Makefile");
		assert.equal(before, version());
	end);
end);

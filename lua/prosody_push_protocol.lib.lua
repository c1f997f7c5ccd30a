-- What the module's protocol calls things: names that other modules, and the module that each stands in for, know.

local protocols = {
	cloud_notify = {
		name = "push";
		title = "XEP-0357";
		store = "cloud_notify";
		durable_store = "cloud_notify_owed";
		-- Of a session: the registration that it holds, by its identifier, and the record of it.
		identifier = "push_identifier";
		record = "push_settings";
		-- Of a record: the app server.
		service = "jid";
		-- How long a test waits for an answer, in seconds, and what it says when there is none.
		test_timeout = 20;
		-- Tigase's.
		has_extensions = true;
		silence = "no answer within %d seconds: is the app server reachable?";
	};
	push2 = {
		name = "push2";
		title = "Push 2.0";
		store = "push2_registrations";
		durable_store = "push2_owed";
		identifier = "push_registration_id";
		record = "push_registration";
		service = "service";
		test_timeout = 5;
		silence = "sent, and no error came back within %d seconds";
		-- A push may carry the stanza that it is for.
		carries_stanzas = true;
	};
};

return protocols[module.name];

-- Names that differ between the protocols. Other modules, and the module that each of ours replaces, use the same names.

local protocols = {
	cloud_notify = {
		name = "push";
		title = "XEP-0357";
		store = "cloud_notify";
		durable_store = "cloud_notify_owed";
		-- Fields of a session: the identifier of the registration that it holds, and the record.
		identifier = "push_identifier";
		record = "push_settings";
		-- The field of a record with the app server.
		service = "jid";
		-- How many seconds a test waits for an answer. `silence` is its result without an answer.
		test_timeout = 20;
		fate_of_silence = "no_answer";
		-- Whether Tigase's extensions can be loaded.
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
		fate_of_silence = "no_error";
		silence = "sent, and no error came back within %d seconds";
		-- A push may carry the stanza that it is for.
		carries_stanzas = true;
	};
};

return protocols[module.name];

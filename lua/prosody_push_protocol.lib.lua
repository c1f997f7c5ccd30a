-- What the module's protocol calls things: names that other modules, and the module that each stands in for, know.

local protocols = {
	cloud_notify = {
		name = "push";
		store = "cloud_notify";
		-- Of a session: the registration that it holds, by its identifier, and the record of it.
		identifier = "push_identifier";
		record = "push_settings";
	};
	push2 = {
		name = "push2";
		store = "push2_registrations";
		identifier = "push_registration_id";
		record = "push_registration";
		-- A push may carry the stanza that it is for.
		carries_stanzas = true;
	};
};

return protocols[module.name];

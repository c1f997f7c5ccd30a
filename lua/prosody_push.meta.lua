---@meta prosody_push
-- The contract between the shim and the library (src/lua/mod.rs). Not installed; spec/boundary_spec.lua checks it.
--
-- No method raises for what users, app servers or stores contain. Events of messages give details of the stanzas where
-- other modules see them, or false if the user's registrations are not in memory: load() them and ask again. Then the
-- seconds until on_timer() is due, if a push is held; two places for what only on_queued() says; the stanza to send, if
-- there is one; and the others, if there are more.

---@class prosody_push
---@field version string             the shim refuses a library of another version
---@field answer_timeout integer     seconds that an app server has to answer
local prosody_push = {};

---Whether lines of level debug are made at all, on all hosts.
---@param on boolean
function prosody_push.log_debug(on) end

---One engine for one host.
---@param host string
---@param protocol "push"|"push2"    XEP-0357 or Push 2.0
---@param option fun(name: string): any          reads Prosody's configuration
---@param stanza_metatable table                 what makes a table a stanza
---@param log fun(level: string, format: string, line: string)
---@return prosody_push.Engine
function prosody_push.new(host, protocol, option, stanza_metatable, log) end

---@class prosody_push.Engine
local Engine = {};

---What to look at in an element.
---@class prosody_push.Rule
---@field bit? integer               set in the word if the element is there
---@field text? integer              set in the word if it has text
---@field keep? "body"|"call"|"sender"|"archive_id"|"carbon_archive_id"|"more"  the text to pass on; the id of a call; whose
---message a carbon has; the id to pass on as name if `by` is the user's account, or that of the message in a carbon; what there
---can be several of: `kind` and `attr`, of elements of type `of_type` if that is there; with `whole`, and the text, or the text
---alone
---@field kind? string
---@field attr? string
---@field whole? true
---@field of_type? string
---@field types? table<string, integer>          by the attribute `type`
---@field children? table<string, table<string, prosody_push.Rule>>      by name and namespace

---What to look at in a stanza, and the bits of the word that do not come from there.
---@class prosody_push.Known
---@field stanzas table<string, prosody_push.Rule>  by name
---@field reflected integer          a room reflects what the user said
---@field contact integer            the sender is in the user's roster, which is looked up if asks_for_roster() says so
---@field stranger integer           the sender is not
---Only for Push 2.0:
---@field archived? integer          the stanza is in the user's archive
---@field nickname? string           kind of `more`: the user's nickname in the room that it comes from
---@field activity? string           kind of `more`: when a session was active, a space, and the registration that it holds

---@return prosody_push.Known
function Engine:known() end

---Switches one of Tigase's extensions on or off: known() changes. Gives whether asks_for_roster() has to be asked.
---@param name "encrypted"|"filters"|"priority"
---@param on boolean
---@return boolean
function Engine:extend(name, on) end

---Whether a registration's filter asks for the user's roster, and the word does not tell yet.
---@param user string
---@param word integer
---@return boolean
function Engine:asks_for_roster(user, word) end

---Registrations as the store has them, by identifier, in the shape of the module that is replaced: those of XEP-0357, or of
---Push 2.0, as the engine's protocol is.
---@alias prosody_push.Records table<string, { jid: string, node?: string, options?: table, timestamp?: integer }>

---Takes the registrations of a user, read from the store or just written to it.
---@param user string
---@param records? prosody_push.Records
function Engine:load(user, records) end

---The account was deleted.
---@param user string
function Engine:forget(user) end

---Checks the address in an <enable>. Gives identifier and normal JID, or nil and why not.
---@param jid string?
---@param node string?
---@param sender string?             full JID of the client
---@return string? identifier
---@return string jid_or_error
function Engine:address(jid, node, sender) end

---The registration that a client made, by its SASL2 user agent id: the newest.
---@param user string
---@param records prosody_push.Records?
---@param client_id string
---@return string? identifier
function Engine:of_client(user, records, client_id) end

---Puts into the record what its <enable> asks of the extensions. Gives why a client cannot have it stored, if so: the
---condition and the text of its error. `options` may be a stanza.
---@param identifier string
---@param record table
---@param enable table
---@return string? condition
---@return string? text
function Engine:refusal(identifier, record, enable) end

---What a client of Push 2.0 asks for in <enable>, as the store is to have it; or condition and text of the error for it.
---@param enable table
---@param user string
---@param identifier string          of the client
---@return { service: string, client: string, matches: table[] }? record
---@return string? condition
---@return string? text
function Engine:ask(enable, user, identifier) end

---What an account announces for Push 2.0.
---@return string[]
function Engine:features() end

---A registration was stored: its failures so far do not count.
---@param now number
---@param user string
---@param identifier string
function Engine:enabled(now, user, identifier) end

---Of records among which `newest` is made now: the time to store for it, and what has to go: the same device under another
---identifier, and the oldest where there are more than a user may have.
---@param user string
---@param records prosody_push.Records
---@param newest string              identifier
---@param now integer                seconds since 1970
---@return integer timestamp
---@return string[] identifiers
function Engine:admit(user, records, newest, now) end

---What a <disable> means.
---@param user string
---@param records prosody_push.Records?
---@param jid string
---@param node string?
---@return string[] identifiers
function Engine:matching(user, records, jid, node) end

---Of a user's registrations: those that are woken, and those that are not because there are too many (push_max_devices). What
---cannot be read is in neither.
---@param user string
---@param records prosody_push.Records?
---@return string[] woken            identifiers
---@return string[] too_many
function Engine:standing(user, records) end

---What a remote disable (XEP-0357 §8) from `from` means.
---@param user string
---@param records prosody_push.Records?
---@param from string?
---@param node string?
---@param jid string?                of the affiliation
---@param affiliation string?
---@return string[] identifiers
function Engine:revoked(user, records, from, node, jid, affiliation) end

---For each stanza what cloud_notify/push tells of it.
---@alias prosody_push.Details { identifier: string, important: boolean, summary: table<string, string> }[]

---No session took a message. Where stanzas are seen, no two share a part.
---@param user string
---@param now number                 seconds since 1970
---@param seen boolean               whether other modules see each push
---@param whole table?               the stanza, where a push may carry it
---@param word integer               facts, see known()
---@param from string?
---@param body string?
---@param name string?              what the message is known by on all its ways
---@param call string?              id of the call that it is about
---@param more string?              what there can be several of, see known()
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_offline(user, now, seen, whole, word, from, body, name, call, more) end

---A message to `to` was archived for the user, or a call is on its way to him. `held` has the identifiers that sessions
---hold, with "\0" between.
---@param user string
---@param now number
---@param seen boolean               whether other modules see each push
---@param whole table?               the stanza, where a push may carry it
---@param word integer
---@param from string?
---@param body string?
---@param name string?              what the message is known by on all its ways
---@param call string?              id of the call that it is about
---@param more string?              what there can be several of, see known()
---@param to string?
---@param held string?              registrations that sessions of the user hold
---@param sender string?            that of the session that sent it, if it is the user's
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_addressed(user, now, seen, whole, word, from, body, name, call, more, to, held, sender) end

---What to know a stanza by that is in no archive and may be met again.
---@param from string?
---@param id string
---@param text string?
---@return string
function Engine:name(from, id, text) end

---Seconds that a stanza which waits in a session's queue may wait for others to be pushed with.
---@param word integer
---@return number
function Engine:queue_delay(word) end

---A stanza waits in the queue of a session that holds `identifier`. `done` is 0 for the first of those that waited
---together, then what the call before gave if its push was sent.
---@param user string
---@param now number
---@param seen boolean               whether other modules see each push
---@param whole table?               the stanza, where a push may carry it
---@param word integer
---@param from string?
---@param body string?
---@param name string?              what the message is known by on all its ways
---@param call string?              id of the call that it is about
---@param more string?              what there can be several of, see known()
---@param identifier string
---@param done integer
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return integer? done
---@return boolean? alerted          whether the device knows of something important, by this push or by one before
---@return table? stanza
---@return table[]? others
function Engine:on_queued(user, now, seen, whole, word, from, body, name, call, more, identifier, done) end

---The session that holds the registration is back.
---@param user string
---@param identifier string
function Engine:on_resumed(user, identifier) end

---push_wake_before_timeout in seconds; 0 for never.
---@return number
function Engine:wake_before() end

---Whether a message that a user sends tells that he is there.
---@param word integer
---@return boolean
function Engine:is_activity(word) end

---Whether a session may go on to hibernate for long when its device has been told of something important.
---@return boolean
function Engine:hibernates_past_push() end

---push_max_hibernation_timeout in seconds.
---@return number
function Engine:max_hibernation() end

---Another module wants the user's devices woken, or those given.
---@param user string
---@param now number
---@param seen boolean               whether other modules see each push
---@param whole nil
---@param records prosody_push.Records?
---@param at_once boolean?           whatever was pushed a moment ago
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_ping(user, now, seen, whole, records, at_once) end

---The stanza with this id is not sent after all.
---@param id string
function Engine:withdraw(id) end

---An IQ result (no kind) or an error came to the host. True if it answers a push; then the seconds until on_timer() is due,
---if a push is held or sent again, and user and identifier if that registration has to go.
---@param now number
---@param id string
---@param from string?
---@param kind string?               type of the error
---@param condition string?
---@param text string?
---@return true? ours
---@return number? wait
---@return string? user
---@return string? identifier
function Engine:on_answer(now, id, from, kind, condition, text) end

---Gives user and identifier in turns of registrations that have to go, the stanzas of pushes that were held, and the
---seconds until it is due again, nil if nothing is in flight or held.
---@param now number
---@return string[] gone
---@return table[] stanzas
---@return number? delay
function Engine:on_timer(now) end

---The stanzas of all pushes that are held, for they would not survive a reload.
---@param now number
---@return table[] stanzas
function Engine:release_all(now) end

---The last decisions for a user, the newest first: when, which device, and what in words.
---@param user string
---@return { at: number, device: string, text: string }[]
function Engine:decisions(user) end

---What is known of a device: when a push arrived last, failures in a row, since when it could not be reached.
---@param user string
---@param identifier string
---@return number? last
---@return integer refusals
---@return number? failing_since
function Engine:health(user, identifier) end

---Everything that is counted, from the start of the engine; `label` is the value of the metric's label, if it has one.
---@return { name: string, label?: string, count: integer }[]
function Engine:counts() end

---How long answers took, in seconds: those since the last call.
---@return number[]
function Engine:take_times() end

---Pushes that are not answered yet, registrations in memory, and users of whom they are.
---@return integer in_flight
---@return integer registrations
---@return integer users
function Engine:sizes() end

---Panics, as a bug would; for the specs, and only in a debug build.
function Engine:panic() end

---What has to survive a reload.
---@return string
function Engine:save() end

---@param saved string
function Engine:restore(saved) end

return prosody_push;

---@meta prosody_push
-- The contract between the shim and the library (src/lua/). Not installed; spec/boundary_spec.lua checks it.
--
-- No method raises for what users, app servers or stores contain. Events of messages give details of the stanzas where
-- other modules see them, or false if the user's registrations are not in memory: load() them and ask again. Then the
-- seconds until on_timer() is due, if a push is held; two places for what only on_queued() says; the stanza to send, if
-- there is one; and the others, if there are more.

---@class prosody_push
---@field version string             the shim refuses a library of another version
---@field late_after integer         seconds after which an app server at work has answered
---@field session_states table        a letter for each way in which a session holds a registration: in_use (connected, and all is
---acknowledged), connected, late (an ack is overdue), hibernates
local prosody_push = {};

---Whether lines of level debug are made at all, on all hosts.
---@param on boolean
function prosody_push.log_debug(on) end

---One engine for one host.
---@param host string
---@param protocol "push"|"push2"    XEP-0357 or Push 2.0
---@param option fun(name: string): any          reads Prosody's configuration
---@param stanza_metatable table                 what makes a table a stanza
---@param normal fun(jid: string): string?       util.jid's prep: the normal form of a JID, nil for what is none
---@param log fun(level: string, format: string, line: string)
---@param is_observed fun(domain: string): boolean    whether somebody can write into what is sent to a domain, or keep it
---@return prosody_push.PushEngine|prosody_push.Push2Engine
function prosody_push.new(host, protocol, option, stanza_metatable, normal, log, is_observed) end

---What the engines of both protocols have.
---@class prosody_push.Engine
local Engine = {};

---The engine of XEP-0357.
---@class prosody_push.PushEngine: prosody_push.Engine
local PushEngine = {};

---The engine of Push 2.0.
---@class prosody_push.Push2Engine: prosody_push.Engine
local Push2Engine = {};

---What to look at in an element.
---@class prosody_push.Rule
---@field bit? integer               set in the word if the element is there
---@field text? integer              set in the word if it has text
---@field keep? "body"|"call"|"invite"|"forwarded"|"archive_id"|"carbon_archive_id"|"extract"|"mention"  the text to pass on; the id of a
---call, in `attr`; that the message's own id is one; the message in a carbon; the id to pass on as deduplication key if `by` is the user's
---account, or that of the message in a carbon; what there can be several of: `kind` and `attr`, of elements of type `of_type` if that
---is there; with `with_text`, and the text, or the text alone; whom a mention without modifiers is about (XEP-0513)
---@field kind? string
---@field attr? string
---@field with_text? true
---@field of_type? string
---@field form? "jid"|"uri"          what `attr` has, to be passed on as Prosody has JIDs
---@field by? string                 an attribute
---@field values? table<string, integer>         bits by its value, "" if it is not there
---@field own? true                  only in a stanza from the user's own account
---@field children? table<string, table<string, prosody_push.Rule>>      by name and namespace

---What to look at in a stanza, and the bits of the word that do not come from there.
---@class prosody_push.Known
---@field stanzas table<string, prosody_push.Rule>  by name
---@field reflected integer          a room reflects what the user said
---@field contact integer            the sender is in the user's roster, or a room; that is looked up if asks_for_roster() says so
---@field stranger integer           the sender is not
---@field calls table<string, true>  namespaces of what a call is told by
---@field most_of_a_kind integer     entries of `extracts` of one kind that are looked at
---@field longest_entry integer      bytes of one
---@field first_children integer     of an element that has many: how many of the first are looked at
---@field last_children integer      and of the last
---Where mentions are asked for, kinds of `extracts`:
---@field mention? string            a JID that is mentioned
---@field mentioned_occupant? string an occupant of the room that is mentioned, by id
---@field mentioned_group? string    a group that is mentioned, a space, and whose it is
---@field nickname? string           the user's nickname in the room that it comes from
---@field occupant? string           his id as an occupant there
---Only for Push 2.0:
---@field archived? integer          the stanza is in the user's archive
---@field activity? string           kind of `extracts`: when a session was active, a space, and the registration that it holds

---@return prosody_push.Known
function Engine:known() end

---Switches one of Tigase's extensions on or off: known() changes. Gives whether asks_for_roster() has to be asked.
---@param name "encrypted"|"encrypted elsewhere"|"filters"|"priority"
---@param on boolean
---@return boolean
function PushEngine:extend(name, on) end

---Which of Tigase's extensions are on, by the names that extend() takes.
---@return table<string, boolean>
function PushEngine:extensions() end

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
---@param is_disabled boolean?       the account is disabled: nobody is woken
function Engine:load(user, records, is_disabled) end

---Whether the account is disabled; nil if the user's registrations are not in memory.
---@param user string
---@return boolean?
function Engine:is_disabled(user) end

---A registration is gone that on_answer() or on_timer() said had to go; `refused` is as it said.
---@param refused boolean
function Engine:ended(refused) end

---The account was deleted.
---@param user string
function Engine:forget(user) end

---Reads an <enable/>, and completes the record that is to be stored, which has what the session knows. Returns the identifier
---to store it under, or nil and the client's error, an <error/>. A form in `options` is a stanza.
---@param user string
---@param client_id string?          SASL2 user agent id
---@param resource string?
---@param enable table
---@param record table
---@return string? identifier
---@return table? error
function Engine:enable(user, client_id, resource, enable, record) end

---The registration that a client made, by its SASL2 user agent id, or if it has none by its resource: the newest.
---@param user string
---@param records prosody_push.Records?
---@param client_id string?
---@param resource string
---@return string? identifier
function Engine:of_client(user, records, client_id, resource) end

---Returns what an account announces: the protocol and its profiles, or of XEP-0357 one of Tigase's extensions.
---@param extension string?         a name that extend() takes
---@return string[]
function Engine:features(extension) end

---A registration was stored: its failures so far do not count.
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param user string
---@param identifier string
function Engine:enabled(now, mono, user, identifier) end

---Of records among which `newest` is made now: the time to store for it, and what has to go: the same device under another
---identifier, and the oldest where there are more than a user may have.
---@param user string
---@param records prosody_push.Records
---@param newest string              identifier
---@param now integer                seconds since 1970
---@return integer timestamp
---@return string[] identifiers
function Engine:admit(user, records, newest, now) end

---Whether a stored registration that is enabled again just as it is need not be written.
---@param user string
---@param records prosody_push.Records
---@param identifier string
---@param now integer                seconds since 1970
---@return boolean
function Engine:is_current(user, records, identifier, now) end

---Reads a <disable/>. Returns the JID and the node that it has, or nil, nil and the client's error, an <error/>.
---@param disable table
---@return string? jid
---@return string? node
---@return table? error
function PushEngine:disable(disable) end

---Returns the registrations that a <disable/> ends, also those that cannot be read.
---@param user string
---@param records prosody_push.Records?
---@param jid string
---@param node string?
---@return string[] identifiers
function PushEngine:matching(user, records, jid, node) end

---Returns the registration that a <disable/> of this client ends, also one that cannot be read.
---@param records prosody_push.Records?
---@param client_id string?          SASL2 user agent id
---@param resource string?
---@return string[] identifiers
function Push2Engine:disabled(records, client_id, resource) end

---Returns why registrations are never woken, in words, by identifier: those that cannot be read, and those of a user who has too
---many (push_max_devices).
---@param user string
---@param records prosody_push.Records?
---@return table<string, string>
function Engine:never_woken(user, records) end

---What a remote disable (XEP-0357 §8) from `from` means.
---@param user string
---@param records prosody_push.Records?
---@param from string?
---@param node string?
---@param jid string?                of the affiliation
---@param affiliation string?
---@return string[] identifiers
function PushEngine:revoked(user, records, from, node, jid, affiliation) end

---For each stanza what cloud_notify/push tells of it.
---@alias prosody_push.Details { identifier: string, important: boolean, summary: table<string, string> }[]

---No session took a message. Where stanzas are seen, no two share a part.
---@param user string
---@param now number                 seconds since 1970
---@param observed boolean           whether other modules see each push and may change it
---@param stanza table?               the stanza, where a push may carry it
---@param word integer               facts, see known()
---@param from string?
---@param body string?
---@param dedup_key string?         what the message is known by on all its ways
---@param call string?              the call that it is about: the other end's bare JID, a space, and the id
---@param extracts string?              what there can be several of, see known()
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_offline(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts) end

---A message to `to` was archived for the user, or is on its way to or from him and is about a call, or asks him for a
---subscription. `held` says how it is with his sessions that hold registrations: for each the letter of session_states and the
---identifier, with "\0" between.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param observed boolean           whether other modules see each push and may change it
---@param stanza table?               the stanza, where a push may carry it
---@param word integer
---@param from string?
---@param body string?
---@param dedup_key string?         what the message is known by on all its ways
---@param call string?              the call that it is about: the other end's bare JID, a space, and the id
---@param extracts string?              what there can be several of, see known()
---@param to string?
---@param held string?
---@param sender string?            that of the session that sent it, if it is the user's
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_addressed(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts, to, held, sender) end

---Makes a deduplication key for a stanza that is not archived.
---@param from string?
---@param id string
---@param text string?
---@return string
function Engine:dedup_key(from, id, text) end

---Seconds that a stanza which waits in a session's queue may wait for others to be pushed with.
---@param word integer
---@return number
function Engine:queue_delay(word) end

---How many stanzas may wait in a session's queue before its device is woken to take them.
---@param size integer               how many there is room for
---@param woken_at integer?          for how many it was woken before, since it was there
---@return integer
function Engine:queue_alarm(size, woken_at) end

---A stanza waits in the queue of a session that holds `identifier`. `done` is 0 for the first of those that waited
---together, then what the call before gave if its push was sent.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param observed boolean           whether other modules see each push and may change it
---@param stanza table?               the stanza, where a push may carry it
---@param word integer
---@param from string?
---@param body string?
---@param dedup_key string?         what the message is known by on all its ways
---@param call string?              the call that it is about: the other end's bare JID, a space, and the id
---@param extracts string?              what there can be several of, see known()
---@param identifier string
---@param done integer
---@param held string?               of the other sessions, see on_addressed()
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return integer? done
---@return boolean? ends_long_hibernation  whether the session, if it hibernates, must not go on for long: its device knows of
---something important, by this push or by an earlier one
---@return table? stanza
---@return table[]? others
function Engine:on_queued(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts, identifier, done, held) end

---The session that holds the registration is back.
---@param user string
---@param identifier string
function Engine:on_resumed(user, identifier) end

---push_wake_on_start: whether all devices are woken when the server has started.
---@return boolean
function Engine:wake_on_start() end

---push_wake_before_timeout in seconds; 0 for never.
---@return number
function Engine:wake_before() end

---Whether a message that a user sends tells that he is there.
---@param word integer
---@return boolean
function Engine:is_activity(word) end

---push_max_hibernation_timeout in seconds.
---@return number
function Engine:max_hibernation() end

---Devices are to be woken though there is no stanza: all of the user's, or those given.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param observed boolean           whether other modules see each push and may change it
---@param stanza nil
---@param records prosody_push.Records?
---@param cause ("test"|"queue full"|"started"|"hibernation ends")?  why; nil if another module asks for it
---@param held string?               see on_addressed()
---@return prosody_push.Details|false|nil details
---@return number? wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_ping(user, now, mono, observed, stanza, records, cause, held) end

---The stanza with this id is not sent after all.
---@param id string
function Engine:withdraw(id) end

---A registration that has to go, because pushes to it fail: `refused` by its app server, or out of reach.
---@alias prosody_push.Gone { user: string, identifier: string, refused: boolean, why: string }

---An IQ result (no kind) or an error came to the host. True if it answers a push; then the seconds until on_timer() is due,
---if a push is held or sent again; the registration, if it has to go; and where its refusals in a row have changed its identifier,
---and how many they are.
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param id string
---@param from string?
---@param made_here boolean         whether this server made the error in the app server's name
---@param kind string?               type of the error
---@param condition string?
---@param text string?
---@return true? ours
---@return number? wait
---@return prosody_push.Gone? gone
---@return string? identifier
---@return integer? refusals
function Engine:on_answer(now, mono, id, from, made_here, kind, condition, text) end

---Gives the registrations that have to go, the stanzas of pushes that were held, and the seconds until it is due again, nil if
---nothing is in flight or held.
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param observed boolean           whether other modules see each push and may change it
---@return prosody_push.Gone[] gone
---@return table[] stanzas
---@return number? delay
---@return table[]? details           of each stanza, with its user, where others see it
function Engine:on_timer(now, mono, observed) end

---The stanzas of all pushes that are held, for they would not survive a reload.
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@return table[] stanzas
function Engine:release_all(now, mono) end

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

---App servers that have failed since they answered last, or where pushes are owed.
---@return { jid: string, away_since?: number, failures: integer, last_error?: string, owed: integer }[]
function Engine:app_servers() end

---What devices are owed and their failures, by user and identifier; the store of ours takes it.
---@class prosody_push.DurableRecord
---@field owed "silent"|"important"|nil
---@field refusals integer?
---@field failing_since number?      seconds since 1970, like the next
---@field failed_last number?
---@field failed_for number?        seconds
---@alias prosody_push.Durable { [string]: prosody_push.DurableRecord }

---Of the users of whom something has changed; an empty table where nothing is left.
---@return { [string]: prosody_push.Durable }
function Engine:unwritten() end

---The same before the end: what has had no answer is owed.
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@return { [string]: prosody_push.Durable }
function Engine:last_unwritten(now, mono) end

---Takes what was written of a user, who is loaded.
---@param now number                seconds since 1970
---@param mono number               seconds by the clock that never steps
---@param user string
---@param records prosody_push.Durable
function Engine:recall(now, mono, user, records) end

---Panics, as a bug would; for the specs, and only in a debug build.
function Engine:panic() end

---What has to survive a reload.
---@return string
function Engine:save() end

---@param saved string
function Engine:restore(saved) end

return prosody_push;

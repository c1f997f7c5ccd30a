---@meta prosody_push
-- The contract between the shim and the library (src/lua/). Not installed; spec/boundary_spec.lua checks it.
--
-- No method raises an error because of data from users, app servers or stores. The methods of events return, in this order:
-- 1. details of the stanzas if other modules observe pushes, or false if the user's registrations are not in memory: the
--    shim then calls load() and calls the method again;
-- 2. the seconds until on_timer() is due, if a push leaves later or a change has to be written. After false: whether the push is
--    important that the user misses if the registrations cannot be loaded, or nil if there is none; on_missed() makes up for it;
-- 3. and 4. two values that only on_queued() returns;
-- 5. the stanza to send, if there is one;
-- 6. the other stanzas, if there are several.

---@class prosody_push
---@field version string             the version of the library; the shim refuses another
---@field late_after integer         seconds within which a working app server has answered
---@field session_states table        a letter for each state of a session that holds a registration: in_use (connected, and the client has
---acknowledged every stanza), connected, late (an ack is overdue), hibernates
---@field hints table               for each fate of a test push, its meaning and where to look next
local prosody_push = {};

---Switches lines of level debug on or off, for all hosts.
---@param on boolean
function prosody_push.log_debug(on) end

---Makes the engine of one host.
---@param host string
---@param protocol "push"|"push2"    XEP-0357 or Push 2.0
---@param option fun(name: string): any          reads Prosody's configuration
---@param stanza_metatable table                 the metatable of util.stanza
---@param normal fun(jid: string): string?       util.jid's prep: returns the normal form of a JID, or nil if the text is no JID
---@param log fun(level: string, format: string, line: string)
---@param is_observed fun(domain: string): boolean    whether other code can change a stanza sent to this domain, or keep it
---@return prosody_push.PushEngine|prosody_push.Push2Engine
function prosody_push.new(host, protocol, option, stanza_metatable, normal, log, is_observed) end

---The methods that the engines of both protocols have.
---@class prosody_push.Engine
local Engine = {};

---The engine of XEP-0357.
---@class prosody_push.PushEngine: prosody_push.Engine
local PushEngine = {};

---The engine of Push 2.0.
---@class prosody_push.Push2Engine: prosody_push.Engine
local Push2Engine = {};

---The parts of an element that the shim looks at.
---@class prosody_push.Rule
---@field bit? integer               the bit of the word that the element sets
---@field text? integer              the bit of the word that the element sets if it has text
---@field keep? "body"|"call"|"invite"|"forwarded"|"archive_id"|"carbon_archive_id"|"extract"|"attributes"|"mention"  the value that
---the shim keeps. body: the text. call: the id of a call, in `attr`. invite: the id of the message is the id of a call. forwarded: the
---message in a carbon. archive_id: the deduplication key, if `by` is the user's account. carbon_archive_id: the same for the message in
---a carbon. extract: an entry of `extracts`: `kind` and `attr`, with `with_text` also the text, or the text alone without `attr`; with
---`of_type` only for elements of this type. attributes: an entry of `extracts`: `kind` and the values of `attrs`, with spaces between.
---mention: the target of a mention without modifiers (XEP-0513).
---@field attrs? string[]
---@field kind? string
---@field attr? string
---@field with_text? true
---@field of_type? string
---@field form? "jid"|"uri"          the form of the value in `attr`; the shim passes on a JID in Prosody's form
---@field by? string                 the attribute that `values` is about
---@field values? table<string, integer>         bits by the value of the attribute; "" for an absent attribute
---@field own? true                  the element counts only in a stanza from the user's own account
---@field children? table<string, table<string, prosody_push.Rule>>      by name and namespace

---The parts of a stanza, or of an <item> of PEP, that the shim looks at, and the bits of the word that the shim sets itself.
---@class prosody_push.Known
---@field stanzas table<string, prosody_push.Rule>  by name
---@field reflected integer          a room reflects the user's own message
---@field contact integer            the sender is in the user's roster or is a room; the shim reads the roster if asks_for_roster() says so
---@field stranger integer           the sender is neither
---@field calls table<string, true>  namespaces of the elements that signal a call
---@field most_of_a_kind integer     the number of entries of one kind in `extracts` that are looked at
---@field longest_entry integer      the length of an entry in bytes
---@field first_children integer     the number of first children that are looked at in an element with many children
---@field last_children integer      the number of last children that are looked at there
---Kinds of `extracts`:
---@field mention string             a mentioned JID
---@field mentioned_occupant string  a mentioned occupant of the room, by occupant id
---@field mentioned_group string     a mentioned group, a space, and the JID that the group belongs to
---@field nickname string            the user's nickname in the room that the message comes from
---@field occupant string            the user's occupant id in that room
---@field marked_as string           the id by which a marker (XEP-0333) names the message
---Present only if the engine needs them:
---@field archived? integer          the stanza is in the user's archive
---@field activity? string           kind of `extracts`: the time when a session was active, a space, and the registration that it holds
---@field in_use? string             kind of `extracts`: the registration of a session whose client says that it is in use (XEP-0352)
---@field public_room? integer       the message comes from a public room of this server

---Returns the parts of stanzas that the shim looks at. extend() changes them.
---@return prosody_push.Known
function Engine:known() end

---Switches one of Tigase's extensions on or off, which changes known(). Returns whether the shim has to call asks_for_roster().
---@param name "encrypted"|"encrypted elsewhere"|"filters"|"priority"
---@param on boolean
---@return boolean
function PushEngine:extend(name, on) end

---Returns the names of Tigase's extensions that are on, as extend() takes them.
---@return table<string, boolean>
function PushEngine:extensions() end

---Returns whether a registration's filter needs the user's roster, and the word does not say yet whether the sender is in it.
---@param user string
---@param word integer
---@return boolean
function Engine:asks_for_roster(user, word) end

---Registrations by identifier, as the store has them. Their shape is that of the module that is replaced, mod_cloud_notify or
---mod_push2.
---@alias prosody_push.Records table<string, { jid: string, node?: string, options?: table, timestamp?: integer }>

---Takes the registrations of a user, read from the store or just written to it. Returns whether the user's bookmarks have to be
---read, too.
---@param user string
---@param records? prosody_push.Records
---@param is_disabled boolean?       the account is disabled: no device is woken
---@return boolean
function Engine:load(user, records, is_disabled) end

---Takes all bookmarks of a user (XEP-0402): in turns, the id of an item, and its extracts (see known()) or false for none. Nil if the
---bookmarks cannot be read: then no chat has a setting.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param bookmarks (string|false)[]?
function Engine:load_bookmarks(now, mono, user, bookmarks) end

---Notes that the user has published a bookmark, in a node that keeps `most` items.
---@param user string
---@param id string                  of the item: a JID
---@param extracts string?
---@param most integer
function Engine:on_bookmark(user, id, extracts, most) end

---Notes that the user has retracted a bookmark.
---@param user string
---@param id string
function Engine:on_bookmark_retracted(user, id) end

---Notes that the user's bookmarks have changed in another way, and have to be read anew.
---@param user string
function Engine:bookmarks_changed(user) end

---Notes that bookmarks can be read from now on. Users in memory whose bookmarks are not known are loaded again.
function Engine:bookmarks_can_be_read() end

---Returns whether the account is disabled, or nil if the user's registrations are not in memory.
---@param user string
---@return boolean?
function Engine:is_disabled(user) end

---Counts a registration that has been removed because on_answer() or on_timer() returned it; `refused` is its field.
---@param refused boolean
function Engine:ended(refused) end

---Forgets the user of a deleted account.
---@param user string
function Engine:forget(user) end

---Reads an <enable/> and completes the record to store, to which the shim has added the facts of the session. Returns the identifier
---to store the record under, or nil and the <error/> for the client. A form in `options` is a stanza.
---@param user string
---@param client_id string?          SASL2 user agent id
---@param resource string?
---@param enable table
---@param record table
---@return string? identifier
---@return table? error
function Engine:enable(user, client_id, resource, enable, record) end

---Returns the newest registration that a client made. The client is known by its SASL2 user agent id or, without one, by its resource.
---@param user string
---@param records prosody_push.Records?
---@param client_id string?
---@param resource string
---@return string? identifier
function Engine:of_client(user, records, client_id, resource) end

---Returns the features that an account announces: those of the protocol, or those of one of Tigase's extensions to XEP-0357.
---@param extension string?         a name that extend() takes
---@return string[]
function Engine:features(extension) end

---Forgets the earlier failures of a registration that was enabled.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param identifier string
function Engine:enabled(now, mono, user, identifier) end

---Returns the registration that a request has made, if the store need be neither read nor written when the request comes again: the
---store had the registration in the last hour, and its new time would not change the order.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param enable table              <enable>, a stanza
---@param client_id string?
---@param resource string?
---@param language string?
---@param grant_id string?          of mod_tokenauth
---@return string? identifier
function Engine:seen(now, mono, user, enable, client_id, resource, language, grant_id) end

---Notes that the store has the registration that a request has made: the record was read or written just now.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param identifier string
---@param enable table              <enable>, a stanza
---@param client_id string?
---@param resource string?
---@param language string?
---@param grant_id string?          of mod_tokenauth
function Engine:saw(now, mono, user, identifier, enable, client_id, resource, language, grant_id) end

---Returns the timestamp to store for `newest`, a record made now and one of `records`, and the registrations to remove: the same
---device under another identifier, and the oldest ones beyond the number that a user may have.
---@param user string
---@param records prosody_push.Records
---@param newest string              identifier
---@param now integer                seconds since 1970
---@return integer timestamp
---@return string[] identifiers
function Engine:admit(user, records, newest, now) end

---Returns the stored time of a registration that is enabled again, if the store need not be written: the stored record is the same
---apart from its time, and the new time would not change the order.
---@param user string
---@param records prosody_push.Records
---@param identifier string
---@param record table
---@return integer? timestamp
function Engine:stored_at(user, records, identifier, record) end

---Reads a <disable/>. Returns its JID and its node, or nil, nil and the <error/> for the client.
---@param disable table
---@return string? jid
---@return string? node
---@return table? error
function PushEngine:disable(disable) end

---Returns the registrations that a <disable/> ends, including unreadable ones.
---@param user string
---@param records prosody_push.Records?
---@param jid string
---@param node string?
---@return string[] identifiers
function PushEngine:matching(user, records, jid, node) end

---Returns the registration that a <disable/> of this client ends, even if it is unreadable.
---@param records prosody_push.Records?
---@param client_id string?          SASL2 user agent id
---@param resource string?
---@return string[] identifiers
function Push2Engine:disabled(records, client_id, resource) end

---Returns the registrations that are never woken, by identifier, each with the reason in words: its record is unreadable, or the user
---has too many (push_max_devices).
---@param user string
---@param records prosody_push.Records?
---@return table<string, string>
function Engine:never_woken(user, records) end

---Returns the registrations that an app server's remote disable (XEP-0357 §8) ends.
---@param user string
---@param records prosody_push.Records?
---@param from string?
---@param node string?
---@param jid string?                the JID of the affiliation
---@param affiliation string?
---@return string[] identifiers
function PushEngine:revoked(user, records, from, node, jid, affiliation) end

---For each stanza, the data of its cloud_notify/push event.
---@alias prosody_push.Details { identifier: string, important: boolean, summary: table<string, string> }[]

---Handles a message that no session received. Observed stanzas share no tables.
---@param user string
---@param now number                 seconds since 1970
---@param observed boolean           whether other modules see each push and may change it
---@param stanza table?               the stanza, in a protocol whose pushes may carry it
---@param word integer               facts, see known()
---@param from string?
---@param body string?
---@param dedup_key string?         the same in every event of the message
---@param call string?              the call that the message is about: the other party's bare JID, a space, and the call's id
---@param extracts string?              repeatable values, see known(): a one-letter kind and a text for each, separated by "\0"
---@param sender string?            for a message without a key: `from`, id and the whole text make one
---@param id string?
---@param text string?
---@return prosody_push.Details|false|nil details
---@return number|boolean|nil wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_offline(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts, sender, id, text) end

---Handles a stanza to `to`: a message that was archived for the user, a message about a call to or from the user, or a subscription
---request to the user. `held` has the state of each of the user's sessions that holds a registration: the letter of session_states
---and the identifier, separated by "\0".
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean           whether other modules see each push and may change it
---@param stanza table?               the stanza, in a protocol whose pushes may carry it
---@param word integer
---@param from string?
---@param body string?
---@param dedup_key string?         the same in every event of the message
---@param call string?              the call that the message is about: the other party's bare JID, a space, and the call's id
---@param extracts string?              repeatable values, see known(): a one-letter kind and a text for each, separated by "\0"
---@param to string?
---@param held string?
---@param sender string?            the registration of the session that sent the message, if it is a session of the user
---@return prosody_push.Details|false|nil details
---@return number|boolean|nil wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_addressed(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts, to, held, sender) end

---Returns a deduplication key for a stanza that is not archived.
---@param from string?
---@param id string
---@param text string?
---@return string
function Engine:dedup_key(from, id, text) end

---Returns the seconds that a stanza in a session's queue may wait, so that one push can cover it and later stanzas.
---@param word integer
---@return number
function Engine:queue_delay(word) end

---Returns the number of stanzas in a session's queue at which its device is woken to fetch them.
---@param size integer               the number of stanzas that the queue has room for
---@param woken_at integer?          the number at which the device was last woken, since its client was last back
---@return integer
function Engine:queue_alarm(size, woken_at) end

---Handles a stanza that waits in the queue of a session that holds `identifier`. `done` is 0 for the first of the stanzas that waited
---together, and later the value that the previous call returned if its push was sent.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean           whether other modules see each push and may change it
---@param stanza table?               the stanza, in a protocol whose pushes may carry it
---@param word integer
---@param from string?
---@param body string?
---@param dedup_key string?         the same in every event of the message
---@param call string?              the call that the message is about: the other party's bare JID, a space, and the call's id
---@param extracts string?              repeatable values, see known(): a one-letter kind and a text for each, separated by "\0"
---@param identifier string
---@param done integer
---@param held string?               the state of the user's other sessions, see on_addressed()
---@return prosody_push.Details|false|nil details
---@return number|boolean|nil wait
---@return integer? done
---@return boolean? ends_long_hibernation  whether the session must not hibernate for long, because its device got a push, this one or
---an earlier one, for something important
---@return table? stanza
---@return table[]? others
function Engine:on_queued(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts, identifier, done, held) end

---Notes a message that is not archived and waits with others in a session's queue: on_queued() comes later.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean
---@param stanza nil
---@param word integer
---@param from string?
---@param body string?
---@param dedup_key string?
---@param call string?
---@param extracts string?
function Engine:on_collected(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts) end

---Handles a read report of a client of the user: a message that it sends (XEP-0333), or an item that it publishes (XEP-0490).
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean           whether other modules see each push and may change it
---@param stanza nil
---@param word integer               facts of the message or the item, see known()
---@param from nil
---@param body nil
---@param dedup_key nil
---@param call nil
---@param extracts string?
---@param chat string                the addressee of the message, or the id of the item
---@param reader string?             the registration that the client's session holds
---@param held string?               see on_addressed()
---@return prosody_push.Details|false|nil details
---@return number|boolean|nil wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_read(user, now, mono, observed, stanza, word, from, body, dedup_key, call, extracts, chat, reader, held) end

---Notes that the client of a registration is back, so that held and owed pushes to it are dropped.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param identifier string
function Engine:on_resumed(now, mono, user, identifier) end

---Returns push_wake_on_start: whether all devices are woken after a start of the server.
---@return boolean
function Engine:wake_on_start() end

---Returns push_wake_before_timeout in seconds; 0 means never.
---@return number
function Engine:wake_before() end

---Returns whether a message that a user sends shows that the user is active.
---@param word integer
---@return boolean
function Engine:is_activity(word) end

---Returns push_max_hibernation_timeout in seconds.
---@return number
function Engine:max_hibernation() end

---Wakes devices without a stanza: all of the user's devices, or those in `records`.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean           whether other modules see each push and may change it
---@param stanza nil
---@param records prosody_push.Records?
---@param cause ("test"|"queue full"|"started"|"hibernation ends")?  the reason; nil if another module asks for the ping
---@param held string?               see on_addressed()
---@return prosody_push.Details|false|nil details
---@return number|boolean|nil wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_ping(user, now, mono, observed, stanza, records, cause, held) end

---Wakes the devices of a user who has missed a push, because the user's registrations could not be loaded.
---@param user string
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean           whether other modules see each push and may change it
---@param stanza nil
---@param important boolean          whether any push that the user has missed is important
---@param held string?               see on_addressed()
---@return prosody_push.Details|false|nil details
---@return number|boolean|nil wait
---@return nil, nil
---@return table? stanza
---@return table[]? others
function Engine:on_missed(user, now, mono, observed, stanza, important, held) end

---Owes the push with this id: its stanza is not sent now, because the store cannot be read.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param id string
function Engine:postpone(now, mono, id) end

---Forgets the push with this id: its stanza is not sent.
---@param id string
function Engine:withdraw(id) end

---A registration to remove, because pushes to it fail: its app server has `refused` them, or it has been unreachable for too long.
---@alias prosody_push.Gone { user: string, identifier: string, refused: boolean, why: string }

---Handles an IQ result (without `kind`) or an error that came to the host. Returns true if it answers a push, the seconds until
---on_timer() is due if a push leaves later or a change has to be written, the registration to remove, if there is one, and, if the
---number of refusals in a row has changed, the identifier of the registration and that number.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
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

---Returns the pushes to app servers of a domain that have no answer yet, in the order in which they left: the id of each, and the JID
---of its app server. Empty in a protocol without answers.
---@param domain string
---@return string[][] pushes
function Engine:unanswered(domain) end

---Returns the registrations to remove, the stanzas of held and owed pushes that leave now, and the seconds until the next call is
---due, or nil if there is nothing to wait for.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param observed boolean           whether other modules see each push and may change it
---@return prosody_push.Gone[] gone
---@return table[] stanzas
---@return number? delay
---@return table[]? details           of each stanza, with its user, if other modules observe pushes
function Engine:on_timer(now, mono, observed) end

---Returns the stanzas of all held pushes, which would not survive a reload.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@return table[] stanzas
function Engine:release_all(now, mono) end

---A decision about one stanza and one device: the time in seconds since 1970, the decision in words, and its outcome by name.
---@alias prosody_push.Decision { at: number, user: string, device: string, outcome: string, text: string }

---Returns the last decisions for a user, newest first.
---@param user string
---@return prosody_push.Decision[]
function Engine:decisions(user) end

---Returns the last decisions for all users, newest first.
---@param most integer
---@return prosody_push.Decision[]
function Engine:latest_decisions(most) end

---The last day: the names of the counts; each minute in which something happened, oldest first, with the counts in that order and how
---many minutes ago it was; and how long the last answers took, in seconds.
---@class prosody_push.History
---@field series string[]
---@field minutes table[]
---@field answers integer?
---@field median number?
---@field p95 number?

---Returns the counts of the last day.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@return prosody_push.History
function Engine:history(now, mono) end

---Notes that a registration ended.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param identifier string
---@param why string
function Engine:removed(now, mono, user, identifier, why) end

---Returns the last registrations that ended, newest first.
---@return { at: number, user: string, device: string, why: string }[]
function Engine:endings() end

---Returns the fate of a push by its answer: taken (no kind), refused, or failed on its way.
---@param made_here boolean         whether this server made the error in the app server's name
---@param kind string?               type of the error
---@param condition string?
---@param text string?
---@return string fate               see hints
function Engine:fate(made_here, kind, condition, text) end

---Returns the health of a device: when a push last arrived, the refusals in a row, and since when the device has been unreachable.
---Times are in seconds since 1970.
---@param user string
---@param identifier string
---@return number? last
---@return integer refusals
---@return number? failing_since
function Engine:health(user, identifier) end

---Returns all counters since the start of the engine; `label` is the value of the metric's label, if it has one.
---@return { name: string, label?: string, count: integer }[]
function Engine:counts() end

---Returns how long each answer since the last call took, in seconds.
---@return number[]
function Engine:take_times() end

---Returns the number of pushes in flight, of registrations in memory, and of users with registrations in memory.
---@return integer in_flight
---@return integer registrations
---@return integer users
function Engine:sizes() end

---Returns the app servers that have failed since their last answer, or to which pushes are owed; with `all`, also the others that
---were pushed to lately.
---@param all boolean?
---@return { jid: string, away_since?: number, failures: integer, last_error?: string, owed: integer }[]
function Engine:app_servers(all) end

---The owed pushes, the waiting pushes and the failures of a registration, as our own store keeps them. In `Durable` they are by
---identifier.
---@class prosody_push.DurableRecord
---@field owed "silent"|"important"|nil
---@field waits_until number?       seconds since 1970: when the first waiting push leaves
---@field refusals integer?
---@field failing_since number?      seconds since 1970
---@field failed_last number?       seconds since 1970
---@field failed_for number?        seconds
---@alias prosody_push.Durable { [string]: prosody_push.DurableRecord }

---Returns the tables to store for the users with changes since the last call; an empty table if nothing is left for a user.
---@param limit integer?            users, at most
---@return { [string]: prosody_push.Durable }
function Engine:unwritten(limit) end

---Returns the table to store for a user.
---@param user string
---@return prosody_push.Durable
function Engine:durable(user) end

---Returns the last changes before the server stops: pushes without an answer in time are owed as well.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@return { [string]: prosody_push.Durable }
function Engine:last_unwritten(now, mono) end

---Reads the stored table of a user. load() has to come first.
---@param now number                seconds since 1970
---@param mono number               seconds of the monotonic clock
---@param user string
---@param records prosody_push.Durable
function Engine:recall(now, mono, user, records) end

---Panics as a bug would. Only for the specs, and only in a debug build.
function Engine:panic() end

---Returns the state that has to survive a reload.
---@return string
function Engine:save() end

---Restores the state that save() returned. Returns the users to load: their pushes are in flight.
---@param saved string
---@return string[]
function Engine:restore(saved) end

return prosody_push;

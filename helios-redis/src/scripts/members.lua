-- Keeps the members of topics. The rules and the words are those of helios-core/src/presence/table.rs.
--
-- KEYS  2 to 8, all other keys, so that a cluster that moves them refuses the call before anything is written
-- ARGV  7 run of the server   8 the verb, then its arguments
--
-- Times are in microseconds. Incarnations and versions count up from the server's time, so that a server without any data still gives
-- no number out twice.
local LEASE, OVERDUE = 15000000, 7500000
-- The keys expire when no node has written to them for this long, in ms.
local KEPT = 24 * 60 * 60 * 1000
local META, LEASES, NAMES, ENTRIES, GRACES, ROWS, TELLERS = unpack(KEYS, 2)
local now = time[1] * 1000000 + time[2]
known = redis.call('HMGET', META, 'epoch', 'run', 'from', 'newest')
local from, newest = tonumber(known[3] or 0), tonumber(known[4] or 0)

-- `..` would round numbers with this many digits.
local function text(number) return string.format('%.0f', number) end

local function next_number()
  newest = math.max(newest + 1, now)
  return newest
end

local function finish()
  redis.call('HSET', META, 'newest', text(newest))
  for n = 2, #KEYS do redis.call('PEXPIRE', KEYS[n], KEPT) end
end

-- Returns whether no node could renew its lease for a while, or the clock was set. A single node that died is not the reason.
local function was_away()
  local ends = redis.call('ZRANGE', LEASES, -1, -1, 'WITHSCORES')[2]
  return ends and math.abs(now + LEASE - tonumber(ends)) > OVERDUE
end

-- Earlier leases do not count any more, since the rows that were put under them may have been lost. Their nodes get new leases, and
-- have the length of a lease to put their rows again. A node that only reads gives no lease more time.
if known[1] ~= epoch or known[2] ~= ARGV[7] or (ARGV[8] ~= 'read' and was_away()) then
  from = next_number()
  redis.call('HSET', META, 'epoch', epoch, 'run', ARGV[7], 'from', text(from))
  for _, lease in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    redis.call('ZADD', LEASES, text(now + LEASE), lease)
  end
  finish()
end

local function counts(lease) return tonumber(string.match(lease, '^%d+')) > from end

local function is_alive(lease)
  local ends = redis.call('ZSCORE', LEASES, lease)
  return ends and now < tonumber(ends) and counts(lease)
end

local function name_of(topic, key) return struct.pack('>I4', #topic) .. topic .. '\0' .. key end

local function parts_of(name)
  local length = struct.unpack('>I4', name)
  return string.sub(name, 5, 4 + length), string.sub(name, 6 + length)
end

local function range_of(topic)
  local prefix = name_of(topic, '')
  return '[' .. prefix, '(' .. string.sub(prefix, 1, -2) .. '\1'
end

-- The names of a lease's rows or changes. One sorted set has those of all leases.
local function link(names, lease, name) redis.call('ZADD', names, 0, lease .. '\0' .. name) end
local function unlink(names, lease, name) redis.call('ZREM', names, lease .. '\0' .. name) end

local function linked(names, lease, most)
  local found = redis.call('ZRANGEBYLEX', names, '[' .. lease .. '\0', '(' .. lease .. '\1', 'LIMIT', 0, most)
  for n, member in ipairs(found) do found[n] = string.sub(member, #lease + 2) end
  return found
end

-- An entry: `rows` of (lease, data), the newest last, `data`, `since`, `grace` (since, until), which runs on beside rows, `is_lost`,
-- `told`, `teller` (lease, change), `orphan` and `strayed`.
-- A change: version, kind, data, since.
local function load(name)
  local packed = redis.call('HGET', ENTRIES, name)
  return packed and cmsgpack.unpack(packed)
end

local function is_there(entry) return #entry.rows > 0 or entry.grace end

-- Removes the rows whose lease fits, and returns these leases.
local function take_rows(entry, is_it)
  local rows, taken = {}, {}
  for _, row in ipairs(entry.rows) do
    if is_it(row[1]) then taken[#taken + 1] = row[1] else rows[#rows + 1] = row end
  end
  entry.rows = rows
  if #rows > 0 then entry.data = rows[#rows][2] end
  return taken
end

local function set_grace(name, entry, grace)
  if entry.grace then redis.call('ZREM', GRACES, name) end
  entry.grace = grace
  if grace then redis.call('ZADD', GRACES, text(grace[2]), name) end
end

local function owed(entry)
  if not is_there(entry) then
    return (entry.told or entry.strayed) and { next_number(), entry.is_lost and 'lost' or 'left', '', 0 }
  elseif entry.told ~= entry.data or entry.strayed then
    return { next_number(), entry.told and 'updated' or 'joined', entry.data, entry.since }
  end
end

-- Notes whether the member differs from a change that is being published.
local function compare(entry, change)
  local is_gone = change[2] == 'left' or change[2] == 'lost'
  local wanted, data = is_there(entry) and entry.data or nil, not is_gone and change[3] or nil
  if wanted ~= data then entry.strayed = true end
end

-- Hands out the change that is owed, unless another lease is its teller, and writes the entry.
local function hand_out(name, entry, lease)
  local change
  if entry.teller then
    compare(entry, entry.teller[2])
    if entry.teller[1] == lease then change = entry.teller[2] end
  else
    change = entry.orphan or owed(entry)
    if not entry.orphan then entry.strayed = nil end
    entry.orphan = nil
    if change then
      compare(entry, change)
      entry.teller = { lease, change }
      link(TELLERS, lease, name)
    elseif not is_there(entry) and not entry.told then
      redis.call('HDEL', ENTRIES, name)
      redis.call('ZREM', NAMES, name)
      return
    end
  end
  redis.call('HSET', ENTRIES, name, cmsgpack.pack(entry))
  redis.call('ZADD', NAMES, 0, name)
  if not change then return end
  local topic, key = parts_of(name)
  return { topic, key, unpack(change) }
end

local verbs = {}

-- Returns the incarnation, which stays the same if the lease is alive.
function verbs.lease(node, incarnation)
  local lease = incarnation .. '-' .. node
  if not is_alive(lease) then
    newest = math.max(newest, tonumber(incarnation))
    incarnation = text(next_number())
    lease = incarnation .. '-' .. node
  end
  redis.call('ZADD', LEASES, text(now + LEASE), lease)
  return { incarnation }
end

-- Returns 1 and the change, if there is one. Returns 0 if the lease has run out, or -1 if there is no room.
-- A row that is put again keeps its place, or takes that of the oldest one.
function verbs.put(lease, topic, key, data, is_new, most)
  if not is_alive(lease) then return { 0 } end
  local name = name_of(topic, key)
  local entry = load(name)
  if not entry and redis.call('ZLEXCOUNT', NAMES, range_of(topic)) >= tonumber(most) then return { -1 } end
  entry = entry or { rows = {} }
  if not is_there(entry) then entry.since = now end
  -- An older incarnation of this node is over.
  local node, place = string.match(lease, '%-.*'), 1
  local function of_node(of) return string.match(of, '%-.*') == node end
  for n, row in ipairs(entry.rows) do
    if of_node(row[1]) then place = n end
  end
  for _, old in ipairs(take_rows(entry, of_node)) do unlink(ROWS, old, name) end
  table.insert(entry.rows, is_new == '1' and #entry.rows + 1 or place, { lease, data })
  entry.data = entry.rows[#entry.rows][2]
  link(ROWS, lease, name)
  return { 1, hand_out(name, entry, lease) }
end

-- Without a grace, the row came to nothing, and the rest of an earlier grace holds.
function verbs.remove(lease, topic, key, grace)
  local name = name_of(topic, key)
  local entry = redis.call('ZSCORE', LEASES, lease) and load(name)
  if not entry then return {} end
  grace = tonumber(grace)
  local taken = take_rows(entry, function(of) return of == lease end)
  local is_final = grace == 0 and #entry.rows == 0
  -- A member in its grace may leave for good.
  if #taken > 0 or (is_final and entry.grace) then
    entry.is_lost = false
    if is_final then
      set_grace(name, entry, nil)
    elseif grace and grace > 0 then
      set_grace(name, entry, { now, now + grace })
    end
    unlink(ROWS, lease, name)
  end
  return { hand_out(name, entry, lease) }
end

function verbs.told(lease, topic, key, version)
  local name = name_of(topic, key)
  local entry = load(name)
  local teller = entry and entry.teller
  if not teller or teller[1] ~= lease or teller[2][1] ~= tonumber(version) then return {} end
  local kind, data = teller[2][2], teller[2][3]
  entry.told = (kind == 'joined' or kind == 'updated') and data or nil
  entry.teller = nil
  unlink(TELLERS, lease, name)
  return { hand_out(name, entry, lease) }
end

-- Returns key, data, since, status and the time of the status of each member. Returns -1 while rows may be missing.
function verbs.read(topic)
  local torn_until = (torn * 1000000) + LEASE
  if torn * 1000000 <= now and now < torn_until then return -1 end
  -- Asked once for each lease, since a full topic has many rows of few leases.
  local renewals = setmetatable({}, { __index = function(all, lease)
    local renewed = tonumber(redis.call('ZSCORE', LEASES, lease) or LEASE) - LEASE
    all[lease] = renewed
    return renewed
  end })
  local members = {}
  for _, name in ipairs(redis.call('ZRANGEBYLEX', NAMES, range_of(topic))) do
    local entry = load(name)
    if is_there(entry) then
      local status, at = 'unconfirmed', 0
      for _, row in ipairs(entry.rows) do
        local renewed = renewals[row[1]]
        if counts(row[1]) and now - renewed <= OVERDUE then status = 'here' end
        at = math.max(at, renewed)
      end
      if entry.grace and #entry.rows == 0 then status, at = 'away', entry.grace[1] end
      local _, key = parts_of(name)
      members[#members + 1] = { key, entry.data, entry.since, status, at }
    end
  end
  return members
end

-- Removes one row, teller or grace that is over, and returns its name and entry. Returns nothing if there is none.
local function next_over()
  local name = redis.call('ZRANGEBYSCORE', GRACES, '-inf', text(now), 'LIMIT', 0, 1)[1]
  if name then
    local entry = load(name)
    set_grace(name, entry, nil)
    return name, entry
  end
  while true do
    local dead = redis.call('ZRANGEBYSCORE', LEASES, '-inf', text(now), 'LIMIT', 0, 1)[1]
    if not dead then return end
    name = linked(ROWS, dead, 1)[1] or linked(TELLERS, dead, 1)[1]
    if name then
      unlink(ROWS, dead, name)
      unlink(TELLERS, dead, name)
      local entry = load(name)
      if #take_rows(entry, function(of) return of == dead end) > 0 then
        entry.is_lost = true
        -- A lost member has no grace, even if another stream has left it one.
        if #entry.rows == 0 then set_grace(name, entry, nil) end
      end
      if entry.teller and entry.teller[1] == dead then
        entry.orphan, entry.teller = entry.teller[2], nil
      end
      return name, entry
    end
    redis.call('ZREM', LEASES, dead)
  end
end

function verbs.reap(lease, most)
  local changes = {}
  if not is_alive(lease) then return changes end
  most = tonumber(most)
  -- The answer to an earlier call may have been lost.
  for _, name in ipairs(linked(TELLERS, lease, most)) do
    changes[#changes + 1] = hand_out(name, load(name), lease)
  end
  -- Limits the work of one call, since many removals may owe no change. The next call does the rest.
  for _ = 1, 4 * most do
    if #changes >= most then break end
    local name, entry = next_over()
    if not name then break end
    changes[#changes + 1] = hand_out(name, entry, lease)
  end
  return changes
end

local answer = verbs[ARGV[8]](unpack(ARGV, 9))
if ARGV[8] ~= 'read' then finish() end
return answer

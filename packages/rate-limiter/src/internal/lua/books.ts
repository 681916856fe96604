// What is kept, how it is read, and what happens to it over time: who is there, who was, and what they hold. In Lua: see `redisScript.ts`.

/** Lua. */
export const books = String.raw`
local key, name, message = KEYS[1], ARGV[1], cjson.decode(ARGV[2])
local metersText, leavingText, knowsText, channel, quota = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local floor, ceil, min, max, huge = math.floor, math.ceil, math.min, math.max, math.huge
local format, opensAfterLeases, awayFromLeases, awayToLeases = 1, 0.375, 0.5, 3
local foreignParts, mostTenants, rounding, day, hour = 12, 256, 1e-9, 86400000, 3600000
local silentAfterLeases, comesWithinLeases, longestClosed = 0.25, 1 / 32, 600000

local found = redis.call('HMGET', key, 'head', 'm:' .. name, 'w:' .. name)
local head = found[1] and cmsgpack.unpack(found[1]) or nil
if head and head.format ~= format then
  return redis.error_reply('CAPROCK these books are of another version')
end
if leaving and not (head and message.epoch == head.epoch and head.members[name]) then return '' end

local lease, meters, longest, closed = message.leaseMillis, cjson.decode(metersText), 0, 0
for _, meter in pairs(meters) do
  longest = max(longest, meter.staysMillis)
  -- Of a longer window, what only lost books knew of the dead is too little to keep a quota closed for.
  if meter.staysMillis <= longestClosed then closed = max(closed, meter.staysMillis) end
end
if head then
  -- The clock was set back, or it is another server's: it goes on from where it was.
  head.skew = max(head.skew, head.time - now)
  now = now + head.skew
end

local members, lines, changed, gone, remains, turns = {}, {}, {}, {}, nil, nil
members[name] = head and found[2] and cmsgpack.unpack(found[2]) or nil
lines[name] = head and found[3] and cmsgpack.unpack(found[3]) or nil

local function read(field)
  if gone[field] then return nil end
  local text = redis.call('HGET', key, field)
  return text and cmsgpack.unpack(text) or nil
end

local function memberOf(other)
  members[other] = members[other] or read('m:' .. other)
  return members[other]
end

local function linesOf(other)
  lines[other] = lines[other] or read('w:' .. other) or {}
  return lines[other]
end

local function remainsList()
  remains = remains or read('remains') or {}
  return remains
end

local function countRemains(one)
  local meter, at, amount = one[2], one[3], one[4]
  local sum = head.remains[meter] or { amount = 0, latest = 0 }
  head.remains[meter] = { amount = sum.amount + amount, latest = max(sum.latest, at) }
  head.nextRemains = min(head.nextRemains or huge, at)
end

local function setRemains(list)
  remains, changed.remains = list, true
  head.remains, head.nextRemains = {}, nil
  for _, one in ipairs(list) do countRemains(one) end
end

local function addRemains(of, meter, at, amount, number)
  local list, one = remainsList(), { of, meter, at, amount, number or 0 }
  list[#list + 1], changed.remains = one, true
  countRemains(one)
end

local function keepRemains(keeps)
  if not head.nextRemains then return end
  local kept = {}
  for _, one in ipairs(remainsList()) do
    if keeps(one) then kept[#kept + 1] = one end
  end
  setRemains(kept)
end

local function shareOf(member, meter)
  return (member.granted[meter] or 0) - (member.given[meter] or 0)
end

local function heldBy(member, meter)
  return shareOf(member, meter) + (member.owed[meter] or 0)
end

-- What all hold together, and under which limits, is counted when it changes.
local function count(member, sign)
  for meter in pairs(member.granted) do
    head.held[meter] = (head.held[meter] or 0) + sign * heldBy(member, meter)
  end
  local number = (head.meters[member.meters] or 0) + sign
  head.meters[member.meters] = number > 0 and number or nil
end

local function priorityKey(line) return string.format('%.17g', line.priority) end

local function forget(other)
  if not head.waiting[other] then return end
  for _, line in ipairs(linesOf(other)) do
    local class = head.classes[priorityKey(line)]
    class.lines = class.lines - 1
    for meter, amount in pairs(line.all) do class.all[meter] = class.all[meter] - amount end
    if class.lines == 0 then head.classes[priorityKey(line)] = nil end
  end
  head.waiting[other] = nil
  lines[other], gone['w:' .. other], changed['w:' .. other] = {}, true, nil
end

local function list(other, own)
  if #own == 0 then return end
  local first = next(head.waiting) == nil
  head.waiting[other], lines[other], changed['w:' .. other] = 1, own, true
  for _, line in ipairs(own) do
    local class = head.classes[priorityKey(line)] or { priority = line.priority, lines = 0, all = {} }
    head.classes[priorityKey(line)] = class
    class.lines = class.lines + 1
    for meter, amount in pairs(line.all) do class.all[meter] = (class.all[meter] or 0) + amount end
    -- What any of them needs at least: while there is less, nobody has to be looked at.
    if first then
      head.least, first = {}, false
      for meter, amount in pairs(line.head) do head.least[meter] = amount end
    else
      for meter, amount in pairs(head.least) do head.least[meter] = min(amount, line.head[meter] or 0) end
    end
  end
end

local function begin(before)
  head = {
    format = format, epoch = message.fresh, version = 0, time = now, skew = before and before.skew or 0,
    begunAt = now, opensAt = now + lease * opensAfterLeases, lost = false, expected = {},
    parkedUntil = before and before.parkedUntil or 0,
    members = {}, leases = {}, meters = {}, held = {}, remains = {}, waiting = {}, pushed = {}, classes = {}, least = {}
  }
  if before then
    local list = remainsList()
    for _, one in ipairs(list) do one[3] = max(one[3], now + longest) end
    setRemains(list)
    for other in pairs(before.members) do gone['m:' .. other], gone['w:' .. other] = true, true end
    gone.turns = true
  end
  members, lines = {}, {}
end

local function lose(others)
  -- Who cannot reach these goes on with what it holds until its lease is over.
  local closesAt = head.begunAt + lease + closed
  if head.time >= closesAt then return end
  head.opensAt, head.lost = closesAt, true
  local expected, names = {}, {}
  for _, some in ipairs({ head.expected, cjson.decode(knowsText), others }) do
    for _, other in ipairs(some) do
      if other ~= name and not head.members[other] and not names[other] then
        names[other], expected[#expected + 1] = true, other
      end
    end
  end
  head.expected = expected
  for meter, told in pairs(message.remains) do
    local known = head.remains[meter] and head.remains[meter].amount or 0
    if told.amount > known then addRemains('', meter, head.time + told.inMillis, told.amount - known) end
  end
end

local function bury(other, from)
  local member = memberOf(other)
  head.members[other], head.leases[other], head.pushed[other] = nil, nil, nil
  count(member, -1)
  forget(other)
  members[other], gone['m:' .. other], changed['m:' .. other] = nil, true, nil
  local leaves = cjson.decode(member.leaving)
  for meter, spec in pairs(cjson.decode(member.meters)) do
    if spec.staysMillis > 0 then
      local rest = heldBy(member, meter)
      for _, part in ipairs(leaves[meter] or {}) do
        local at, amount = member.at + part[1], min(rest, part[2])
        -- What had left by then may have been used once more, unless it was for others.
        if amount > 0 and (at > from or member.yields) then
          rest = rest - amount
          if at > from then addRemains(other, meter, at, amount, member.number) end
        end
      end
      if rest > 0 then addRemains(other, meter, from + spec.staysMillis, rest, member.number) end
    end
  end
end

local function advance()
  local away, alive, held, most = now - head.time, false, false, 0
  for other, expires in pairs(head.members) do
    if expires > head.time then alive, most = true, max(most, head.leases[other]) end
  end
  -- Who holds something says so more often.
  for _, amount in pairs(head.held) do held = held or amount > 0 end
  if away > awayFromLeases * most and alive and held then
    -- They may have gone on by themselves: they say first what they hold.
    head.opensAt = max(head.opensAt, now + most * opensAfterLeases)
    for other, expires in pairs(head.members) do
      if expires > head.time and away < awayToLeases * most then
        head.members[other] = max(expires, now + head.leases[other])
      end
    end
  end
  head.time = now
  for other, expires in pairs(head.members) do
    if expires <= now then bury(other, expires) end
  end
  if head.nextRemains and head.nextRemains <= now then
    keepRemains(function(one) return one[3] > now end)
  end
end

-- How many books there were before these, as far as whoever began them knew: what a name begins with.
local function generationOf(epoch)
  return tonumber(string.match(epoch, '^%d+')) or 0
end

local function isRolledBack()
  if not message.epoch then return false end
  if message.epoch ~= head.epoch then return generationOf(message.epoch) > generationOf(head.epoch) end
  if message.version > head.version then return true end
  local own = head.members[name] and memberOf(name)
  if message.anew or not own then return false end
  for meter, amount in pairs(message.granted) do
    if amount > (own.granted[meter] or 0) then return true end
  end
  return false
end

local function join()
  local known, left = message.epoch == head.epoch, {}
  if message.epoch and not known then lose({}) end
  if head.members[name] then count(memberOf(name), -1) end
  keepRemains(function(one)
    if one[1] == name then left[one[2]] = (left[one[2]] or 0) + one[4] end
    return one[1] ~= name
  end)
  local expected = {}
  for _, other in ipairs(head.expected) do
    if other ~= name then expected[#expected + 1] = other end
  end
  head.expected = expected
  local granted, given = {}, {}
  for meter in pairs(meters) do
    local held = max(0, shareOf(message, meter))
    if not known then
      granted[meter], given[meter] = held, 0
    else
      -- It was buried: while it was away others may have got what it takes for its own.
      if not message.anew then held = min(held, left[meter] or 0) end
      granted[meter] = max(message.granted[meter] or 0, message.given[meter] or 0)
      given[meter] = granted[meter] - held
    end
  end
  return { granted = granted, given = given }
end

`

// The books of a shared quota in Redis: `sharedQuota.ts` in Lua, held to it by the tests. One hash per quota, so all of it is in one slot.
//
//   head       all that is looked at in each step: the clock, who is a member, what all hold of each meter together
//   m:<name>   a member's counters, its meters, and what of its share leaves when, as it said it
//   w:<name>   its lines
//   remains    what the dead may have been charged still, one by one
//   turns      what each class, tenant and member has had: read when something is given out
//
// Of the fields, a step reads the head, those of who asks, and what else it needs. They are msgpack, which keeps numbers as they are; so does what
// is answered, which is written by hand for that: cjson would round, and a member that believes it was granted more than the books say takes them
// for books that were rolled back. All that is written is written at the end, and what may be refused for want of memory first: an error leaves
// all as it was.

/** The parts of the script that a test replaces. */
export interface Surroundings {
  /** Lua for the time in whole milliseconds. */
  readonly clock: string
  /** Lua for the name of the server's own history: another one after a restart or a failover. `''` where it is not to be known. */
  readonly place: string
}

/** The server's own. */
export const server: Surroundings = {
  clock: `(function()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end)()`,
  place: `(function()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
end)()`
}

const books = String.raw`
local key, name, message = KEYS[1], ARGV[1], cjson.decode(ARGV[2])
local metersText, leavingText, knowsText, channel, quota = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local floor, ceil, min, max, huge = math.floor, math.ceil, math.min, math.max, math.huge
local format, opensAfterLeases, awayFromLeases, awayToLeases = 1, 0.375, 0.5, 3
local foreignParts, mostTenants, rounding, day, hour = 12, 256, 1e-9, 86400000, 3600000

local found = redis.call('HMGET', key, 'head', 'm:' .. name, 'w:' .. name)
local head = found[1] and cmsgpack.unpack(found[1]) or nil
if head and head.format ~= format then
  return redis.error_reply('CAPROCK these books are of another version')
end
if leaving and not (head and message.epoch == head.epoch and head.members[name]) then return '' end

local lease, meters, longest = message.leaseMillis, cjson.decode(metersText), 0
for _, meter in pairs(meters) do longest = max(longest, meter.staysMillis) end
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
    members = {}, meters = {}, held = {}, remains = {}, waiting = {}, classes = {}, least = {}
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
  local closesAt = head.begunAt + lease + longest
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
  head.members[other] = nil
  count(member, -1)
  forget(other)
  members[other], gone['m:' .. other], changed['m:' .. other] = nil, true, nil
  local leaves = cjson.decode(member.leaving)
  for meter, spec in pairs(cjson.decode(member.meters)) do
    if spec.staysMillis > 0 then
      local rest = heldBy(member, meter)
      for _, part in ipairs(leaves[meter] or {}) do
        local at, amount = member.at + part[1], min(rest, part[2])
        if at > from and amount > 0 then
          rest = rest - amount
          addRemains(other, meter, at, amount, member.number)
        end
      end
      if rest > 0 then addRemains(other, meter, from + spec.staysMillis, rest, member.number) end
    end
  end
end

local function advance()
  local away, alive, held = now - head.time, false, false
  for _, expires in pairs(head.members) do alive = alive or expires > head.time end
  -- Who holds something says so more often.
  for _, amount in pairs(head.held) do held = held or amount > 0 end
  if away > awayFromLeases * lease and alive and held then
    -- They may have gone on by themselves: they say first what they hold.
    head.opensAt = max(head.opensAt, now + lease * opensAfterLeases)
    for other, expires in pairs(head.members) do
      if expires > head.time and away < awayToLeases * lease then head.members[other] = max(expires, now + lease) end
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

local function isRolledBack()
  if message.epoch ~= head.epoch then return false end
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

local limits, free, stays = {}, {}, 0
local function reckon()
  limits, free, stays = {}, {}, 0
  for text in pairs(head.meters) do
    for meter, spec in pairs(text == metersText and meters or cjson.decode(text)) do
      limits[meter] = min(limits[meter] or huge, spec.limit)
      stays = max(stays, spec.staysMillis)
    end
  end
  for meter, limit in pairs(limits) do
    free[meter] = limit - (head.held[meter] or 0) - (head.remains[meter] and head.remains[meter].amount or 0)
  end
end

local function grant(other, amounts, times)
  local member = memberOf(other)
  for meter, one in pairs(amounts) do
    local amount = one * (times or 1)
    member.granted[meter] = (member.granted[meter] or 0) + amount
    head.held[meter] = (head.held[meter] or 0) + amount
    free[meter] = (free[meter] or 0) - amount
  end
  changed['m:' .. other] = true
end

-- Somebody else draws on it, and nobody knows since when: what is free is taken to leave evenly.
local function fill(meter)
  local missing, staysMillis = floor(free[meter] or 0) + 1, meters[meter] and meters[meter].staysMillis or 0
  if missing <= 1 or staysMillis == 0 then return end
  for part = 1, foreignParts do
    local amount = floor(missing * part / foreignParts) - floor(missing * (part - 1) / foreignParts)
    if amount > 0 then addRemains('', meter, head.time + staysMillis * part / foreignParts, amount) end
  end
  free[meter] = free[meter] - missing
end

local function fitsIn(amounts)
  local least = huge
  for meter, amount in pairs(amounts) do
    if amount > 0 then least = min(least, floor((free[meter] or 0) / amount + rounding)) end
  end
  return least
end

local function sizeOf(amounts)
  local most = 0
  for meter, amount in pairs(amounts) do
    if amount > 0 then most = max(most, amount / max(1, limits[meter] or 0)) end
  end
  return most
end

-- Who waits, as a tree: class, tenant, member.
local function candidates()
  local names, fields = {}, {}
  for other in pairs(head.waiting) do
    if not lines[other] then names[#names + 1], fields[#fields + 1] = other, 'w:' .. other end
  end
  if #fields > 0 then
    for index, text in ipairs(redis.call('HMGET', key, unpack(fields))) do
      lines[names[index]] = cmsgpack.unpack(text)
    end
  end
  turns = turns or read('turns') or {}
  local classes, number = {}, 0
  for other in pairs(head.waiting) do
    for index, line in ipairs(lines[other]) do
      local class = classes[line.priority]
      if not class then
        local own = turns[priorityKey(line)] or { served = -huge, turn = 0, tenants = {} }
        class = { priority = line.priority, since = huge, turns = own, tenants = {} }
        classes[line.priority] = class
      end
      class.since = min(class.since, line.since)
      local tenant = class.tenants[line.tenant]
      if not tenant then
        local own = class.turns.tenants[line.tenant] or { turn = 0, base = 0, members = {} }
        tenant = { name = line.tenant, turns = own, places = {} }
        class.tenants[line.tenant] = tenant
      end
      tenant.places[#tenant.places + 1] = { name = other, line = line, index = index }
      number = number + 1
    end
  end
  for _, class in pairs(classes) do class.since = max(class.since, class.turns.served) end
  return classes, number
end

local function nextOf(classes)
  local class, tenant, place, best, second
  for _, one in pairs(classes) do
    local rank = (message.ageingMillis and one.since / message.ageingMillis or 0) - one.priority
    if not class or rank < best or (rank == best and one.priority > class.priority) then class, best = one, rank end
  end
  if not class then return nil end
  for _, one in pairs(class.tenants) do
    local turn = max(one.turns.turn, class.turns.turn)
    if not tenant or turn < second or (turn == second and one.name < tenant.name) then tenant, second = one, turn end
  end
  local base, third = tenant.turns.base, nil
  for at, one in ipairs(tenant.places) do
    local turn = max(base, tenant.turns.members[one.name] or 0)
    if not place or turn < third or (turn == third and (one.name < place.name or (one.name == place.name and one.index < place.index))) then
      place, third = one, turn
      place.at = at
    end
  end
  return class, tenant, place, second, third
end

-- Drops what says nothing any more, and what says the least where it is too much.
local function prune()
  local tenants = {}
  for priority, class in pairs(turns) do
    for tenant, own in pairs(class.tenants) do
      tenants[#tenants + 1] = { class = class, priority = priority, tenant = tenant, lead = own.turn - class.turn }
      for other, turn in pairs(own.members) do
        if turn <= own.base then own.members[other] = nil end
      end
    end
  end
  if #tenants <= mostTenants then return end
  table.sort(tenants, function(a, b)
    if a.lead ~= b.lead then return a.lead > b.lead end
    if a.tenant ~= b.tenant then return a.tenant < b.tenant end
    return a.priority < b.priority
  end)
  for index = mostTenants / 2 + 1, #tenants do tenants[index].class.tenants[tenants[index].tenant] = nil end
end

-- Gives what is free to those who wait, in order: where the next does not fit, nobody else is served.
local function allot()
  local served = {}
  if next(head.waiting) == nil or fitsIn(head.least) < 1 then return served end
  local classes, number = candidates()
  while number > 0 do
    local class, tenant, place, start, base = nextOf(classes)
    local other, line = place.name, place.line
    if fitsIn(line.head) < 1 then break end
    grant(other, line.head)
    local mean = {}
    for meter, amount in pairs(line.all) do
      local part = amount / line.count
      mean[meter] = part > 1 and ceil(part) or part
    end
    local more = min(line.count - 1, max(0, floor(fitsIn(mean) / (4 * number))))
    if more > 0 then grant(other, mean, more) end
    served[other] = true
    local size, own = sizeOf(mean) * (1 + more), tenant.turns
    class.turns.served, class.turns.turn, class.since = head.time, start, head.time
    own.turn, own.base = start + size / line.weight, base
    own.members[other] = base + size
    class.turns.tenants[tenant.name], turns[priorityKey(line)] = own, class.turns
    line.count = line.count - 1 - more
    for meter, amount in pairs(mean) do line.all[meter] = amount * line.count end
    line.head = mean
    if line.count == 0 then
      number = number - 1
      table.remove(tenant.places, place.at)
      if #tenant.places == 0 then class.tenants[tenant.name] = nil end
      if next(class.tenants) == nil then classes[class.priority] = nil end
    end
  end
  if next(served) ~= nil then
    prune()
    changed.turns = true
  end
  local waiting = head.waiting
  head.waiting, head.classes, head.least = {}, {}, {}
  for other in pairs(waiting) do
    local left = {}
    for _, line in ipairs(lines[other]) do
      if line.count > 0 then left[#left + 1] = line end
    end
    local touched = changed['w:' .. other] or served[other]
    lines[other] = left
    list(other, left)
    changed['w:' .. other] = touched and #left > 0 or nil
    if #left == 0 then gone['w:' .. other] = true end
  end
  return served
end

-- What the member says is written down: all but who gets what.
local others = {}
if not head then
  begin(nil)
elseif isRolledBack() or (place ~= '' and head.place and head.place ~= place) then
  local known = {}
  for other in pairs(head.members) do known[#known + 1] = other end
  begin(head)
  lose(known)
end
if place ~= '' then head.place = place end
advance()

local own, joined, waited
local function hear()
  own = message.epoch == head.epoch and not message.anew and head.members[name] and memberOf(name) or nil
  joined, waited = own == nil, head.waiting[name] ~= nil
  if own then
    count(own, -1)
    -- Where the store took something for lost to it, the member may not know it yet.
    for meter, amount in pairs(message.given) do own.given[meter] = max(own.given[meter] or 0, amount) end
  else
    own = join()
  end
  own.number, own.owed, own.meters = message.number, message.owed, metersText
  own.at, own.leaving = head.time, leavingText
  for meter in pairs(meters) do own.granted[meter] = own.granted[meter] or 0 end
  members[name], changed['m:' .. name] = own, true
  head.members[name] = head.time + lease
  count(own, 1)
  head.version = head.version + 1
  if message.parkMillis > 0 then head.parkedUntil = max(head.parkedUntil, head.time + message.parkMillis) end
  if head.lost and #head.expected == 0 then
    head.lost = false
    head.opensAt = min(head.opensAt, max(head.time, head.begunAt + lease * opensAfterLeases))
  elseif head.time >= head.opensAt then
    head.lost, head.expected = false, {}
  end
  reckon()
  if message.foreign then fill(message.foreign) end
  forget(name)
  if not leaving then
    for _, line in ipairs(message.lines) do line.since, line.sinceMillis = head.time - line.sinceMillis, nil end
    list(name, message.lines)
  else
    bury(name, head.time)
    reckon()
  end
end

-- It was heard before, or another that was sent later, or its member is gone since: it is answered, and no more.
local late = false
if head.members[name] then
  late = message.number <= memberOf(name).number
elseif head.nextRemains then
  for _, one in ipairs(remainsList()) do late = late or (one[1] == name and message.number <= one[5]) end
end
if late then
  own, joined, waited = memberOf(name) or { granted = {}, given = {} }, message.epoch ~= head.epoch, true
  reckon()
else
  hear()
end
for other in pairs(head.members) do
  if other ~= name then others[#others + 1] = other end
end

-- And then who gets what.
local open = not late and head.time >= head.opensAt and head.time >= head.parkedUntil
local served = open and allot() or {}
if open and not leaving and next(head.waiting) == nil then
  local ahead = {}
  for meter, amount in pairs(message.ahead) do
    ahead[meter] = max(0, floor(min(amount, (free[meter] or 0) / (2 * (#others + 1)))))
  end
  grant(name, ahead)
end

local function number(value)
  return string.format(value == floor(value) and value < 1e15 and value > -1e15 and '%.0f' or '%.17g', value)
end

local function object(values, write)
  local parts = {}
  for meter, value in pairs(values) do parts[#parts + 1] = cjson.encode(meter) .. ':' .. (write or number)(value) end
  return '{' .. table.concat(parts, ',') .. '}'
end

local function listed(other)
  local sum = 0
  if head.waiting[other] then
    for _, line in ipairs(linesOf(other)) do sum = sum + line.count end
  end
  return sum
end

local wakes, to = {}, cjson.encode(quota)
for other in pairs(served) do
  if other ~= name then
    wakes[#wakes + 1] = { other, '{"_tag":"Granted","quota":' .. to .. ',"epoch":' .. cjson.encode(head.epoch) ..
      ',"granted":' .. object(memberOf(other).granted) .. ',"listed":' .. number(listed(other)) .. '}' }
  end
end
if head.waiting[name] and not waited then
  for _, other in ipairs(others) do
    wakes[#wakes + 1] = { other, '{"_tag":"Wanted","quota":' .. to .. ',"by":' .. cjson.encode(name) .. '}' }
  end
end

local function standing()
  local again = huge
  local function note(at) if at > head.time then again = min(again, at) end end
  note(head.opensAt)
  note(head.parkedUntil)
  if head.nextRemains then note(head.nextRemains) end
  local names, wanted = { cjson.encode(name) }, false
  for _, other in ipairs(others) do
    names[#names + 1] = cjson.encode(other)
    wanted = wanted or head.waiting[other] ~= nil
    note(head.members[other])
  end
  local mine = {}
  if head.waiting[name] then
    for _, line in ipairs(linesOf(name)) do
      local class = mine[priorityKey(line)] or { lines = 0, all = {} }
      mine[priorityKey(line)] = class
      class.lines = class.lines + 1
      for meter, amount in pairs(line.all) do class.all[meter] = (class.all[meter] or 0) + amount end
    end
  end
  local waiting, rows = {}, {}
  for priority, class in pairs(head.classes) do
    local less = mine[priority] or { lines = 0, all = {} }
    if class.lines > less.lines then
      local all = {}
      for meter, amount in pairs(class.all) do all[meter] = max(0, amount - (less.all[meter] or 0)) end
      waiting[#waiting + 1] = { class.priority, all }
    end
  end
  table.sort(waiting, function(a, b) return a[1] > b[1] end)
  for index, class in ipairs(waiting) do
    rows[index] = '{"priority":' .. number(class[1]) .. ',"all":' .. object(class[2]) .. '}'
  end
  return table.concat({
    '{"epoch":', cjson.encode(head.epoch), ',"version":', number(head.version), ',"granted":', object(own.granted),
    ',"given":', object(own.given), ',"joined":', tostring(joined), ',"members":[', table.concat(names, ','), '],"wanted":', tostring(wanted),
    ',"listed":', number(listed(name)), ',"free":', object(free), ',"limits":', object(limits),
    ',"waiting":[', table.concat(rows, ','), '],"remains":', object(head.remains, function(sum)
      return '{"amount":' .. number(sum.amount) .. ',"inMillis":' .. number(sum.latest - head.time) .. '}'
    end),
    ',"opensInMillis":', number(max(0, head.opensAt - head.time)),
    ',"parkedMillis":', number(max(0, head.parkedUntil - head.time)),
    ',"againMillis":', again < huge and number(ceil(again - head.time)) or 'null', '}'
  })
end
local answer = leaving and '' or standing()

-- All is decided, and only now something is written. What may be refused is refused before.
local keep = not head.keptAt or head.time - head.keptAt > hour
if keep then head.keptAt = head.time end
local fields, dropped = { 'head', cmsgpack.pack(head) }, {}
local function write(field, value)
  gone[field] = nil
  fields[#fields + 1], fields[#fields + 2] = field, cmsgpack.pack(value)
end
if changed.remains then write('remains', remains) end
if changed.turns then write('turns', turns) end
for other in pairs(members) do
  if changed['m:' .. other] then write('m:' .. other, members[other]) end
end
for other in pairs(lines) do
  if changed['w:' .. other] then write('w:' .. other, lines[other]) end
end
for field in pairs(gone) do dropped[#dropped + 1] = field end
local function may(needed, ...) return not needed or not redis.acl_check_cmd or redis.acl_check_cmd(...) end
if not (may(#dropped > 0, 'HDEL', key, 'head') and may(keep, 'PEXPIRE', key, '1') and
  may(#wakes > 0, 'PUBLISH', channel .. name, '')) then
  return redis.error_reply('NOPERM this user may not run all of HDEL, PEXPIRE and PUBLISH')
end
for from = 1, #fields, 1000 do redis.call('HSET', key, unpack(fields, from, min(#fields, from + 999))) end
for from = 1, #dropped, 1000 do redis.call('HDEL', key, unpack(dropped, from, min(#dropped, from + 999))) end
-- Longer than anything in it may count.
if keep then redis.call('PEXPIRE', key, number(day + ceil(stays))) end
for _, wake in ipairs(wakes) do redis.call('PUBLISH', channel .. wake[1], wake[2]) end
return answer
`

/** A script of one key, the quota's: what `exchange` or `leave` of `sharedQuota.ts` does. */
export const lua = (step: "exchange" | "leave", { clock, place }: Surroundings): string =>
  `local leaving, now, place = ${step === "leave"}, ${clock}, ${place}\n${books}`

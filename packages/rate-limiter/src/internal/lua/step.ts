// The step itself: what is heard, what is answered, and all that is written. In Lua: see `redisScript.ts`.

/** Lua. */
export const step = String.raw`
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
  own.number, own.owed, own.meters, own.yields = message.number, message.owed, metersText, false
  own.at, own.leaving = head.time, leavingText
  for meter in pairs(meters) do own.granted[meter] = own.granted[meter] or 0 end
  members[name], changed['m:' .. name] = own, true
  head.members[name], head.leases[name], head.pushed[name] = head.time + lease, lease, nil
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
local wanted = late and own.yields or false
for other in pairs(head.waiting) do wanted = wanted or other ~= name end
-- While nothing is given to anybody it is told so, and uses again what leaves.
if not late then own.yields = message.yields and wanted and head.time >= head.opensAt end
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

local function object(values)
  local parts, short = {}, true
  for _, value in pairs(values) do short = short and value == floor(value) and value < 1e14 and value > -1e14 end
  -- Those numbers cjson writes as they are, and faster.
  if short then return cjson.encode(values) end
  for meter, value in pairs(values) do parts[#parts + 1] = cjson.encode(meter) .. ':' .. number(value) end
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
  for _, other in ipairs(others) do
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
  local remaining = {}
  for meter, sum in pairs(head.remains) do
    remaining[#remaining + 1] = cjson.encode(meter) .. ':{"amount":' .. number(sum.amount) .. ',"inMillis":' ..
      number(sum.latest - head.time) .. '}'
  end
  others[#others + 1] = name
  return table.concat({
    '{"epoch":', cjson.encode(head.epoch), ',"version":', number(head.version), ',"granted":', object(own.granted),
    ',"given":', object(own.given), ',"joined":', tostring(joined), ',"members":', cjson.encode(others), ',"wanted":', tostring(wanted),
    ',"listed":', number(listed(name)), ',"free":', object(free), ',"limits":', object(limits),
    ',"waiting":[', table.concat(rows, ','), '],"remains":{', table.concat(remaining, ','),
    '},"opensInMillis":', number(max(0, head.opensAt - head.time)),
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

// What is free, and who gets it: `allot.ts` in Lua. In Lua: see `redisScript.ts`.

/** Lua. */
export const allot = String.raw`
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
  -- Who waits says something twice as often. One that does not may be dead.
  local heard = {}
  for other in pairs(head.waiting) do
    local own = head.leases[other]
    if head.members[other] >= head.time + own * (1 - silentAfterLeases) and
      (head.pushed[other] or head.time) >= head.time - own * comesWithinLeases then heard[#heard + 1] = other end
  end
  for _, other in ipairs(heard) do
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

-- Gives what is free to those who wait, in order: where the next does not fit, or has to come first, nobody else is served.
local function allot()
  local served = {}
  if next(head.waiting) == nil or fitsIn(head.least) < 1 then return served end
  local classes, number = candidates()
  while number > 0 do
    local class, tenant, place, start, base = nextOf(classes)
    local other, line = place.name, place.line
    -- Who was given something that it may not know yet comes for more.
    if head.pushed[other] or fitsIn(line.head) < 1 then break end
    grant(other, line.head)
    local mean = {}
    for meter, amount in pairs(line.all) do
      local part = amount / line.count
      mean[meter] = part > 1 and ceil(part) or part
    end
    local more = min(line.count - 1, max(0, floor(fitsIn(mean) / (4 * number))))
    if more > 0 then grant(other, mean, more) end
    served[other] = true
    if other ~= name then head.pushed[other] = head.time end
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

`

-- Charges one start to sliding windows, to all of them or to none, on the server's clock.
--
-- KEYS: one log for each window. ARGV: for each window its calls, its microseconds, and how many starts stand together.
-- Returns: 1 if allowed, calls that are left, microseconds until the window gives back, the window's place, and now.
--
-- A log is little-endian doubles: how many starts the newest group stands for, then the times of the groups, in
-- microseconds since the epoch, oldest first. It expires with its window. If the clock has gone back, the log is moved
-- with it, so that its last start was now: nobody gets in early, and nobody stays out for longer than a window.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function at(log, place)
    return (struct.unpack('<d', log, place * 8 + 1))
end

local function read(key)
    local log = redis.call('GET', key)
    if not log then return nil end
    local size = #log / 8 - 1
    local ahead = at(log, size) - now
    if ahead <= 0 then return log end
    local moved = { string.sub(log, 1, 8) }
    for place = 1, size do moved[place + 1] = struct.pack('<d', at(log, place) - ahead) end
    log = table.concat(moved)
    redis.call('SET', key, log, 'KEEPTTL')
    return log
end

-- The place of the first group later than a moment; one behind the last where there is none.
local function after(log, moment)
    local low, high = 1, #log / 8
    while low < high do
        local middle = math.floor((low + high) / 2)
        if at(log, middle) > moment then high = middle else low = middle + 1 end
    end
    return low
end

local windows, refused = {}, nil
for i = 1, #KEYS do
    local w = { limit = tonumber(ARGV[i * 3 - 2]), per = tonumber(ARGV[i * 3 - 1]), group = tonumber(ARGV[i * 3]) }
    w.log, w.used, w.free = read(KEYS[i]), 0, now + w.per
    if w.log then
        w.first, w.size = after(w.log, now - w.per), #w.log / 8 - 1
        w.alive = w.size - w.first + 1
        if w.alive > 0 then
            w.used, w.free = (w.alive - 1) * w.group + at(w.log, 0), at(w.log, w.first) + w.per
        end
    end
    if w.used >= w.limit and (not refused or w.free > windows[refused].free) then refused = i end
    windows[i] = w
end

if refused then return { 0, 0, windows[refused].free - now, refused, now } end

local one, stamp, least = struct.pack('<d', 1), struct.pack('<d', now), nil
for i = 1, #KEYS do
    local w, key = windows[i], KEYS[i]
    local lasts = math.ceil(w.per / 1000) + 1
    if not w.log or w.alive == 0 then
        redis.call('SET', key, one .. stamp, 'PX', lasts)
    else
        local filled = at(w.log, 0)
        if filled < w.group then
            redis.call('SETRANGE', key, 0, struct.pack('<d', filled + 1))
            redis.call('SETRANGE', key, w.size * 8, stamp)
            if w.alive == 1 then w.free = now + w.per end
        elseif w.first > 16 and w.first * 2 > w.size then
            redis.call('SET', key, one .. string.sub(w.log, w.first * 8 + 1) .. stamp)
        else
            redis.call('APPEND', key, stamp)
            if filled > 1 then redis.call('SETRANGE', key, 0, one) end
        end
        redis.call('PEXPIRE', key, lasts)
    end
    if not least or w.limit - w.used < windows[least].limit - windows[least].used then least = i end
end
local w = windows[least]
return { 1, w.limit - w.used - 1, w.free - now, least, now }

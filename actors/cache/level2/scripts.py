"""Scripts that run inside Redis, each in one step: nothing else happens there between its comparison and its write."""

from __future__ import annotations

import hashlib
from struct import Struct

HEADER = Struct(">QQQ")
"""An entry's beginning: stamp, version, and when its data ends, in Redis' milliseconds since 1970; 0 in a tombstone.

A string and not a hash: one command reads or writes it whole, and Redis keeps it in one block where a hash of more than
64 bytes takes four. Redis' own time to live is longer than that of the data, for the stamp has to be remembered.
"""

_HEADER_LUA = """
local function header(key)
  local head = redis.call('GETRANGE', key, 0, 23)
  if #head == 24 then return struct.unpack('>I8I8I8', head) end
end
"""
_NOW_LUA = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""


class Script:
    """A script in Lua and the name that Redis knows it by."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


# KEYS: entries. Returns the whole of each whose data has not ended, else nil.
GET = Script(
    _NOW_LUA
    + """
local found = {}
for i, key in ipairs(KEYS) do
  local entry = redis.call('GET', key)
  found[i] = false
  if entry and #entry > 24 then
    local _, _, ends = struct.unpack('>I8I8I8', entry)
    if ends > now then found[i] = entry end
  end
end
return found
"""
)

# KEYS: entries. ARGV: milliseconds to remember, then of each entry stamp, version, milliseconds of its data, and data.
# Returns 1 for each that was stored, else 0.
PUT = Script(
    _HEADER_LUA
    + _NOW_LUA
    + """
local memory, stored = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local at = 4 * i - 2
  local stamp, version, ttl = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local known_stamp, known_version, ends = header(key)
  stored[i] = 0
  if not known_stamp
    or (version >= known_version and (stamp > known_stamp or (stamp == known_stamp and ends > 0)))
  then
    local entry = struct.pack('>I8I8I8', stamp, version, now + ttl) .. ARGV[at + 3]
    redis.call('SET', key, entry, 'PX', math.max(ttl, memory))
    stored[i] = 1
  end
end
return stored
"""
)

# KEYS: entries. ARGV: milliseconds to remember, then the stamp of each. Leaves tombstones; returns 1 for each.
MARK = Script(
    _HEADER_LUA
    + """
local marked = {}
for i, key in ipairs(KEYS) do
  local stamp = tonumber(ARGV[i + 1])
  local known_stamp, known_version = header(key)
  if known_stamp then stamp = math.max(stamp, known_stamp) end
  redis.call('SET', key, struct.pack('>I8I8I8', stamp, known_version or 0, 0), 'PX', ARGV[1])
  marked[i] = 1
end
return marked
"""
)

# KEYS: stream, owner. ARGV: owner, most entries unapplied, milliseconds and sequence of an id that all new ones have to
# be above, then of each group its size and its keys and payloads. Returns of each group its ids, or nil from the first
# on for which there is no room; nil where another is the owner.
# A stream that lost entries gives out ids by the clock alone, which may have gone back. It goes on from an id that it
# has had, so it is made to have had that one; it refuses where it knows of a later one.
APPEND = Script(
    _NOW_LUA
    + """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
if now <= tonumber(ARGV[3]) then
  local floor = ARGV[3] .. '-' .. ARGV[4]
  local raised = redis.pcall('XADD', KEYS[1], floor, 'k', '', 'p', '')
  if type(raised) ~= 'table' or not raised.err then redis.call('XDEL', KEYS[1], floor) end
end
local room = tonumber(ARGV[2]) - redis.call('XLEN', KEYS[1])
local groups, at = {}, 5
while at <= #ARGV do
  local size = tonumber(ARGV[at])
  room = room - size
  local ids = false
  if room >= 0 then
    ids = {}
    for i = 1, size do
      ids[i] = redis.call('XADD', KEYS[1], '*', 'k', ARGV[at + 2 * i - 1], 'p', ARGV[at + 2 * i])
    end
  else
    room = -1
  end
  groups[#groups + 1] = ids
  at = at + 1 + 2 * size
end
return groups
"""
)

# KEYS: stream, owner. ARGV: owner, how many. Returns the oldest entries; nil where another is the owner.
READ = Script(
    """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
return redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])
"""
)

# KEYS: stream, owner. ARGV: owner, the id before which all were applied. Returns how many were removed; nil as above.
REMOVE = Script(
    """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
"""
)

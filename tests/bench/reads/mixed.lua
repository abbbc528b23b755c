-- Reads payments as Zipf has it, and changes some of them. Where each thread has one connection, what it sent last is
-- what is answered next, and both kinds have latencies of their own. Prints one line of JSON.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } bench_time; int clock_gettime(int clock, bench_time *time);")
local MONOTONIC = 1
-- How long each connection rests between two requests, on average; 0: not at all.
local THINK_MS = tonumber(os.getenv("BENCH_THINK_MS"))
-- Latencies are counted in buckets that grow by 2 %.
local STEP = math.log(1.02)

local threads = {}

function setup(thread)
  thread:set("thread_id", #threads)
  threads[#threads + 1] = thread
end

local moment = ffi.new("bench_time")
local read_head, read_tail, write_head, write_tail, write_share
local ids, cumulative, total = {}, {}, 0
local writing, sent_us = false, 0

local function now_us()
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.s) * 1e6 + tonumber(moment.ns) / 1e3
end

function init(_)
  read_head, read_tail = os.getenv("BENCH_READ_HEAD"), os.getenv("BENCH_READ_TAIL")
  write_head, write_tail = os.getenv("BENCH_WRITE_HEAD"), os.getenv("BENCH_WRITE_TAIL")
  write_share = tonumber(os.getenv("BENCH_WRITE_SHARE"))
  for id in io.lines(os.getenv("BENCH_IDS")) do
    ids[#ids + 1] = id
    total = total + 1 / #ids
    cumulative[#ids] = total
  end
  math.randomseed(tonumber(os.getenv("BENCH_SEED")) * 1000 + thread_id)
  reads, writes, read_us, write_us, failures, sample, buckets = 0, 0, 0, 0, 0, "", {}
end

-- The first rank whose sum of weights reaches a random part of the whole.
local function drawn()
  local wanted, low, high = math.random() * total, 1, #ids
  while low < high do
    local middle = math.floor((low + high) / 2)
    if cumulative[middle] < wanted then low = middle + 1 else high = middle end
  end
  return ids[low]
end

if THINK_MS > 0 then
  function delay()
    return math.floor(0.5 - THINK_MS * math.log(1 - math.random()))
  end
end

function request()
  writing = math.random() < write_share
  local id = drawn()
  local text = writing and write_head .. id .. write_tail or read_head .. id .. read_tail
  sent_us = now_us()
  return text
end

function response(status, _, body)
  local took_us = now_us() - sent_us
  if status < 200 or status > 299 then
    failures = failures + 1
    sample = status .. " " .. string.sub(body, 1, 300)
  elseif writing then
    writes, write_us = writes + 1, write_us + took_us
  else
    reads, read_us = reads + 1, read_us + took_us
    local bucket = math.floor(math.log(took_us) / STEP)
    buckets[bucket] = (buckets[bucket] or 0) + 1
  end
end

local function sum(name)
  local found = 0
  for _, thread in ipairs(threads) do found = found + thread:get(name) end
  return found
end

local function percentile_us(part, count)
  local all, highest = {}, 0
  for _, thread in ipairs(threads) do
    for bucket, uses in pairs(thread:get("buckets")) do
      all[bucket] = (all[bucket] or 0) + uses
      highest = math.max(highest, bucket)
    end
  end
  local seen = 0
  for bucket = 0, highest do
    seen = seen + (all[bucket] or 0)
    if seen >= part * count then return math.exp((bucket + 0.5) * STEP) end
  end
  return 0
end

function done(summary, _, _)
  local errors = summary.errors
  local reads, writes = sum("reads"), sum("writes")
  for _, thread in ipairs(threads) do
    if thread:get("sample") ~= "" then io.stderr:write(thread:get("sample") .. "\n") end
  end
  io.write(string.format(
    '\nBENCH {"duration_us": %d, "reads": %d, "writes": %d, "read_us": %.0f, "write_us": %.0f, ' ..
    '"read_p50_us": %.0f, "read_p99_us": %.0f, "failures": %d}\n',
    summary.duration, reads, writes, sum("read_us"), sum("write_us"),
    percentile_us(0.5, reads), percentile_us(0.99, reads),
    sum("failures") + errors.connect + errors.read + errors.write + errors.timeout))
end

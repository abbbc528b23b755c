-- Sends one request again and again, with a key that no other thread, run or request has, or with one id of a file after
-- the other, and prints one line of JSON.
local threads = 0

function setup(thread)
  thread:set("thread_id", threads)
  threads = threads + 1
end

local head, tail, run, counter = "", "", "", 0

function init(_)
  head = os.getenv("BENCH_HEAD")
  tail = os.getenv("BENCH_TAIL")
  run = os.getenv("BENCH_RUN")
  if os.getenv("BENCH_IDS") then
    cycle(os.getenv("BENCH_IDS"))
  elseif run == "" then
    local whole = head .. tail
    request = function() return whole end
  end
end

-- Whole requests, made once: threads start at different places, so that they do not ask for the same at once.
function cycle(file)
  local requests = {}
  for id in io.lines(file) do
    requests[#requests + 1] = head .. id .. tail
  end
  counter = thread_id * math.floor(#requests / 2)
  request = function()
    counter = counter % #requests + 1
    return requests[counter]
  end
end

function request()
  counter = counter + 1
  return head .. run .. thread_id .. "-" .. counter .. tail
end

-- Defined for samples alone: with it wrk parses every header and keeps every body, which costs more than the request.
if os.getenv("BENCH_SAMPLES") then
  local left = tonumber(os.getenv("BENCH_SAMPLES"))
  function response(status, _, body)
    if left > 0 and (status < 200 or status > 299) then
      left = left - 1
      io.stderr:write(status .. " " .. string.sub(string.gsub(body, "%s+", " "), 1, 500) .. "\n")
    end
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nBENCH {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "failures": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end

-- wrk: POST /predict for one existing user after the other; the last line of output is a JSON summary.
--   wrk -t1 -c8 -d10s --latency -s predict.lua http://127.0.0.1:8000/predict -- USERS_FILE
-- Latencies in microseconds.

local requests, position, worker = {}, 0, nil
refused = 0 -- global: `done` reads it from the thread

function setup(thread)
  worker = thread
end

function init(arguments)
  for user in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, '{"user_id":"' .. user .. '"}')
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function response(status)
  if status ~= 200 then
    refused = refused + 1
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p90": %d, "p99": %d, "max": %d, "not_200": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    worker:get("refused"), errors.connect, errors.read, errors.write, errors.timeout))
end

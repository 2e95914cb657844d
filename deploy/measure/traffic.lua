-- What wrk sends: requests of one kind, each with a number nobody else uses.
--
-- The argument names a file that holds the kind as a Lua table:
--   method, headers, run, paths  one of the paths after the other
--   pieces                       the body, cut where its number goes; nil for a request without one
-- A request with a body is rendered for every call, as a client does; without one it is rendered once a path.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("id", threads)
end

local kind, rendered, count = nil, {}, 0

function init(args)
  kind = dofile(args[1])
  if not kind.pieces then
    for place, path in ipairs(kind.paths) do
      rendered[place] = wrk.format(kind.method, path, kind.headers, nil)
    end
    count = id * 997  -- So that threads do not ask for the same in step.
  end
end

function request()
  count = count + 1
  if not kind.pieces then
    return rendered[count % #rendered + 1]
  end
  local number = kind.run .. "-" .. id .. "-" .. count
  return wrk.format(kind.method, kind.paths[1], kind.headers, table.concat(kind.pieces, number))
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, '
      .. '"p50": %f, "p95": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, errors.connect, errors.read, errors.write, errors.status,
    errors.timeout, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end

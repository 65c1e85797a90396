-- The script for wrk. It sends one request again and again, with the fields of the command line. If
-- BENCH_KEYS names a file of keys, it sends one request for each key, from number BENCH_START on.
-- Requests are built beforehand, so that wrk costs about the same in both cases.
local keys = os.getenv("BENCH_KEYS")

if keys then
    local requests, last = {}, tonumber(os.getenv("BENCH_START"))

    function init()
        for key in io.lines(keys) do
            requests[#requests + 1] = wrk.format("GET", nil, {
                Host = wrk.headers["Host"],
                Authorization = "Bearer " .. key,
            })
        end
    end

    function request()
        last = last % #requests + 1
        return requests[last]
    end
end

-- Prints one JSON line: seconds for the duration, microseconds for latencies.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %.6f, "p50": %.1f, "p99": %.1f, "errors": %d, "refused": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end

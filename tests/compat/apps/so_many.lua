-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- wrk -t 1 -s so_many.lua URL -- N: ends when N requests were answered, and has sent no other. Prints
-- p50 and p99 in us, answers, and what failed.
local ffi = require('ffi')
ffi.cdef('int kill(int, int); int getpid(void);')

local SIGINT, NEVER_MS = 2, 3600000
local want, begun, answered

function init(args)
   want, begun, answered = tonumber(args[1]), 0, 0
end

-- asked before each request of each connection
function delay()
   if begun == want then return NEVER_MS end
   begun = begun + 1
   return 0
end

function response()
   answered = answered + 1
   if answered == want then ffi.C.kill(ffi.C.getpid(), SIGINT) end
end

function done(summary, latency)
   local errors = summary.errors
   print('measured', latency:percentile(50), latency:percentile(99), summary.requests,
         errors.connect + errors.read + errors.write + errors.status + errors.timeout)
end

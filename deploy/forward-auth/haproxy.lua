-- Asks Latchkey whether a request may pass (forward authentication), for HAProxy 2.6 and later.
--
-- Each thread loads this file for itself (lua-load-per-thread). It keeps nothing between requests.
-- A failure is an error in Lua, or an early end. HAProxy then goes on to the rule behind this action,
-- which denies every request that this action has not let pass.

local TIMEOUT = 5000 -- milliseconds for an answer; a token may have to be renewed first

-- HAProxy's own status when Latchkey closes a connection without an answer. A reload closes all
-- connections, and HAProxy tries only four; after a pause (milliseconds) it knows that they are closed.
local CLOSED, PAUSE = 502, 50

-- Lines of fields in a question. HAProxy 2.6 crashes with more than tune.http.maxhdr (101).
local MAX_LINES = 90

-- Fields about the body, which is not sent along, or about one connection.
local NOT_ASKED = {"content-length", "transfer-encoding", "expect", "te", "keep-alive"}
local NOT_TOLD = {["content-length"] = true, ["transfer-encoding"] = true,
                  ["connection"] = true, ["keep-alive"] = true}

local question, ask, put, refuse

-- `url` is the verify endpoint; `names` are the fields that its answer overwrites, with commas.
core.register_action("latchkey", {"http-req"}, function(txn, url, names)
    local fields, size = question(txn)
    if size > MAX_LINES then
        txn:done(txn:reply{status = 431})
    end
    local answer = ask(url, fields)
    if answer.status == CLOSED then
        core.msleep(PAUSE)
        answer = ask(url, fields)
    end
    if answer.status == 200 then
        for name in names:gmatch("[^,]+") do
            put(txn, name, answer.headers[name:lower()])
        end
        txn:set_var("txn.latchkey", "passes")
    elseif answer.status >= 300 then
        refuse(txn, answer)
    end
end, 2)

-- The fields of the question, and the number of their lines: those of the request, and two that
-- describe it. HAProxy counts the lines of a field from 0; its client keeps the order of a list.
function question(txn)
    local fields = txn.http:req_get_headers()
    for _, name in ipairs(NOT_ASKED) do
        fields[name] = nil
    end
    fields["x-forwarded-method"] = {[0] = txn.f:method()}
    fields["x-forwarded-uri"] = {[0] = txn.f:pathq()}
    local asked, size = {}, 0
    for name, lines in pairs(fields) do
        asked[name] = table.move(lines, 0, #lines, 1, {})
        size = size + #asked[name]
    end
    return asked, size
end

-- The answer. Without one it is HAProxy's own, or its status is 0.
function ask(url, fields)
    return core.httpclient():get{url = url, headers = fields, timeout = TIMEOUT}
end

-- Replace the client's field by that of Latchkey's answer. An empty field only removes it.
function put(txn, name, lines)
    assert(lines and #lines == 0, "Latchkey says nothing of a field, or more than one thing")
    txn.http:req_del_header(name)
    if lines[0] ~= "" then
        txn.http:req_add_header(name, lines[0])
        -- HAProxy does not report that it had no room for the field.
        assert(txn.f:req_fhdr(name) == lines[0], "no room for a field: see tune.maxrewrite")
    end
end

-- Send Latchkey's answer to the client.
function refuse(txn, answer)
    local reply = txn:reply{status = answer.status, body = answer.body}
    for name, lines in pairs(answer.headers) do
        for at = 0, NOT_TOLD[name] and -1 or #lines do
            reply:add_header(name, lines[at])
        end
    end
    txn:done(reply)
end

-- Asks Latchkey whether a request may pass (forward authentication), for HAProxy 2.6 and later.
--
-- Each thread has this file for itself (lua-load-per-thread), and nothing in it outlives a request:
-- there are no variables but those of a call. Whatever goes wrong is an error of Lua's, or an early
-- end; HAProxy then goes on to the rule behind this action, which lets nothing pass that is not
-- said to.

local TIMEOUT = 5000 -- milliseconds for an answer; a token may have to be renewed first

-- What HAProxy answers itself when Latchkey closes a connection in place of an answer. A reload
-- closes all of them, and HAProxy tries four; after a pause in milliseconds it has seen that.
local CLOSED, PAUSE = 502, 50

-- Lines of fields in a question. HAProxy 2.6 dies when there are more than tune.http.maxhdr (101).
local MOST = 90

-- What speaks of a body, which is not sent along, or of one connection.
local NOT_ASKED = {"content-length", "transfer-encoding", "expect", "te", "keep-alive"}
local NOT_TOLD = {["content-length"] = true, ["transfer-encoding"] = true,
                  ["connection"] = true, ["keep-alive"] = true}

local question, ask, put, refuse

-- `url` is the verify endpoint; `names` are the fields that its answer overwrites, with commas.
core.register_action("latchkey", {"http-req"}, function(txn, url, names)
    local fields, size = question(txn)
    if size > MOST then
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

-- The request's fields and what describes it, and how many lines that is. HAProxy counts the lines
-- of a field from 0; its client keeps the order of a list.
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

-- The answer, or what HAProxy makes of none; its status is 0 if it makes nothing of it.
function ask(url, fields)
    return core.httpclient():get{url = url, headers = fields, timeout = TIMEOUT}
end

-- In the place of what the client has sent; an empty field is none.
function put(txn, name, lines)
    assert(lines and #lines == 0, "Latchkey says nothing of a field, or more than one thing")
    txn.http:req_del_header(name)
    if lines[0] ~= "" then
        txn.http:req_add_header(name, lines[0])
        -- HAProxy does not say so when there was no room for it.
        assert(txn.f:req_fhdr(name) == lines[0], "no room for a field: see tune.maxrewrite")
    end
end

-- Latchkey's answer is the client's.
function refuse(txn, answer)
    local reply = txn:reply{status = answer.status, body = answer.body}
    for name, lines in pairs(answer.headers) do
        for at = 0, NOT_TOLD[name] and -1 or #lines do
            reply:add_header(name, lines[at])
        end
    end
    txn:done(reply)
end

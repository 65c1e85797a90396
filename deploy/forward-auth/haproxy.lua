-- Asks Latchkey whether a request may pass (forward authentication), for HAProxy 2.6 and later.
--
-- Each thread has this file for itself (lua-load-per-thread), and nothing in it outlives a request:
-- there are no variables but those of a call. Whatever goes wrong is an error of Lua's, or an early
-- end; HAProxy then goes on to the rule behind this action, which lets nothing pass that is not
-- said to.

local TIMEOUT = 5000 -- milliseconds for an answer; a token may have to be renewed first

-- What speaks of a body, which is not sent along; of one connection; and of what is said below.
local NOT_ASKED = {"content-length", "transfer-encoding", "expect", "te", "keep-alive"}
local NOT_TOLD = {["content-length"] = true, ["transfer-encoding"] = true,
                  ["connection"] = true, ["keep-alive"] = true}

local question, put, refuse

-- `url` is the verify endpoint; `names` are the fields that its answer overwrites, with commas.
core.register_action("latchkey", {"http-req"}, function(txn, url, names)
    local answer = core.httpclient():get{url = url, headers = question(txn), timeout = TIMEOUT}
    if answer.status == 200 then
        for name in names:gmatch("[^,]+") do
            put(txn, name, answer.headers[name:lower()])
        end
        txn:set_var("txn.latchkey", "passes")
    elseif answer.status >= 300 then
        refuse(txn, answer)
    end -- It is 0 if there is no answer.
end, 2)

-- The request's fields, and what describes it. HAProxy counts a field's lines from 0, and its client
-- takes those of a list in order.
function question(txn)
    local fields = {}
    for name, lines in pairs(txn.http:req_get_headers()) do
        fields[name] = {}
        for at = 0, #lines do
            table.insert(fields[name], lines[at])
        end
    end
    for _, name in ipairs(NOT_ASKED) do
        fields[name] = nil
    end
    fields["x-forwarded-method"] = {txn.f:method()}
    fields["x-forwarded-uri"] = {txn.f:pathq()}
    return fields
end

-- In the place of what the client has sent; an empty field is none. HAProxy does not say so when
-- there was no room for it.
function put(txn, name, lines)
    txn.http:req_del_header(name)
    local value = lines and lines[0] or ""
    if value ~= "" then
        txn.http:req_add_header(name, value)
        assert(txn.f:req_fhdr(name) == value, "no room for a field: see tune.maxrewrite")
    end
end

-- Latchkey's answer is the client's.
function refuse(txn, answer)
    local reply = txn:reply{status = answer.status, reason = answer.reason, body = answer.body}
    for name, lines in pairs(answer.headers) do
        for at = 0, NOT_TOLD[name] and -1 or #lines do
            reply:add_header(name, lines[at])
        end
    end
    txn:done(reply)
end

-- The swap in nginx: every request looks its key up in Redis, over a kept connection.
-- lua-nginx-redis is Debian's name for lua-resty-redis.
local redis = require "nginx.redis"

local given = ngx.var.http_authorization
if not given or given:sub(1, 7) ~= "Bearer " then
    return ngx.exit(401)
end

local client = redis:new()
client:set_timeout(1000)
if not client:connect("unix:" .. ngx.var.redis_socket) then
    return ngx.exit(503)
end
local token = client:get("peer:" .. given:sub(8))
if not token then
    return ngx.exit(503)
end
client:set_keepalive(60000, 256)
if token == ngx.null then
    return ngx.exit(401)
end
ngx.var.authorization = "Bearer " .. token

// An ordinary Express site before which the frontends' libraries stand: JWTs of jsonwebtoken, a refresh
// token, a second factor, server-sent events, a download, an image, and a WebSocket of ws.
const crypto = require('crypto');
const express = require('express');
const http = require('http');
const jwt = require('jsonwebtoken');
const { WebSocketServer } = require('ws');

const secret = process.env.JWT_SECRET;
const lifetime = 3600; // seconds
const refreshTokens = new Map(); // to their users' names
const pending = new Map(); // temporary tokens of first steps, to their users' names

const app = express();
app.use(express.json());

function tokens(username) {
    const refresh_token = crypto.randomBytes(32).toString('base64url');
    refreshTokens.set(refresh_token, username);
    const claims = { sub: username, name: 'Test User', roles: ['reader'], jti: crypto.randomUUID() };
    return {
        access_token: jwt.sign(claims, secret, { expiresIn: lifetime }),
        refresh_token,
        token_type: 'Bearer',
        expires_in: lifetime,
    };
}

function user(req) {
    const [scheme, token] = (req.headers.authorization || '').split(' ');
    try {
        return scheme === 'Bearer' ? jwt.verify(token, secret).sub : null;
    } catch {
        return null;
    }
}

function authenticated(req, res, next) {
    req.user = user(req);
    return req.user ? next() : res.status(401).json({ message: 'Unauthorized' });
}

function password(req, res, next) {
    const { username, password } = req.body;
    return username === 'test' && password === 'test'
        ? next()
        : res.status(401).json({ message: 'Wrong username or password' });
}

app.get('/', (req, res) => res.type('html').send('<!doctype html><title>Shop</title>'));

app.post('/login', password, (req, res) => res.json(tokens(req.body.username)));

app.post('/refresh', (req, res) => {
    const username = refreshTokens.get(req.body.refresh_token);
    refreshTokens.delete(req.body.refresh_token);
    if (!username) {
        return res.status(401).json({ message: 'Invalid refresh token' });
    }
    res.json(tokens(username));
});

app.post('/login/two-factor', password, (req, res) => {
    const mfa_token = crypto.randomUUID();
    pending.set(mfa_token, req.body.username);
    res.json({ mfa_required: true, mfa_token });
});

app.post('/login/two-factor/code', (req, res) => {
    const { mfa_token, code } = req.body;
    if (!pending.has(mfa_token) || code !== '123456') {
        return res.status(401).json({ message: 'Wrong code' });
    }
    const username = pending.get(mfa_token);
    pending.delete(mfa_token);
    res.json(tokens(username));
});

app.get('/api/me', authenticated, (req, res) => res.json({ username: req.user }));

app.post('/api/notes', authenticated, (req, res) => res.status(201).json({ note: req.body.text }));

app.get('/api/events', authenticated, (req, res) => {
    res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    res.write(`data: hello ${req.user}, ${req.originalUrl}\n\n`);
});

app.get('/api/report.csv', authenticated, (req, res) => {
    res.attachment('report.csv').send(`name,total\n${req.user},7\n`);
});

app.get('/api/avatar.svg', authenticated, (req, res) => {
    res.type('svg').send('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
});

const server = http.createServer(app);
const chat = new WebSocketServer({
    noServer: true,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (protocols) => (protocols.has('chat') ? 'chat' : false),
});
chat.on('connection', (socket, req) => {
    socket.send(JSON.stringify({ user: req.user, url: req.url }));
    socket.on('message', (text) => socket.send(String(text)));
});
server.on('upgrade', (req, socket, head) => {
    req.user = user(req);
    if (!req.user) {
        socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
        return;
    }
    chat.handleUpgrade(req, socket, head, (opened) => chat.emit('connection', opened, req));
});
server.listen(process.env.PORT, '127.0.0.1');

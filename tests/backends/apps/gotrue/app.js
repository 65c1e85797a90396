// Answers as Supabase does: GoTrue's password and refresh grants at one path, whose refresh tokens rotate
// and are reused for ten seconds, and a table of PostgREST; Kong before both asks for an `apikey`.
const crypto = require('crypto');
const express = require('express');
const jwt = require('jsonwebtoken');

const secret = process.env.JWT_SECRET;
const apikey = 'sb_publishable_of_the_tests';
const lifetime = 3600; // seconds
const refreshTokens = new Map(); // to the session's id, and when they were used
const sessions = new Set();
let refreshes = 0;

const user = {
    id: '5f9d0d2e-6f7b-4c43-9d4a-3f5b8f2f7b11',
    aud: 'authenticated',
    role: 'authenticated',
    email: 'test@example.com',
    app_metadata: { provider: 'email', providers: ['email'] },
    user_metadata: {},
    identities: [],
    created_at: '2026-01-01T00:00:00.000000Z',
};

function session(session_id) {
    const now = Math.floor(Date.now() / 1000);
    const refresh_token = crypto.randomBytes(9).toString('base64url');
    refreshTokens.set(refresh_token, { session_id });
    const claims = { sub: user.id, aud: user.aud, role: user.role, email: user.email, session_id };
    return {
        access_token: jwt.sign({ ...claims, jti: crypto.randomUUID() }, secret, { expiresIn: lifetime }),
        token_type: 'bearer',
        expires_in: lifetime,
        expires_at: now + lifetime,
        refresh_token,
        user,
    };
}

const error = (res, status, error_code, msg) => res.status(status).json({ code: status, error_code, msg });

const app = express();
app.use(express.json());

app.get('/counts', (req, res) => res.json({ refreshes }));

app.use((req, res, next) =>
    req.headers.apikey === apikey ? next() : res.status(401).json({ message: 'No API key found in request' }),
);

app.post('/auth/v1/token', (req, res) => {
    const { grant_type } = req.query;
    if (grant_type === 'password') {
        const { email, password } = req.body;
        if (email !== user.email || password !== 'test') {
            return error(res, 400, 'invalid_credentials', 'Invalid login credentials');
        }
        const id = crypto.randomUUID();
        sessions.add(id);
        return res.json(session(id));
    }
    if (grant_type === 'refresh_token') {
        refreshes += 1;
        const found = refreshTokens.get(req.body.refresh_token);
        if (!found || !sessions.has(found.session_id)) {
            return error(res, 400, 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found');
        }
        if (found.used && Date.now() - found.used > 10_000) {
            sessions.delete(found.session_id);
            return error(res, 400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used');
        }
        found.used = Date.now();
        return res.json(session(found.session_id));
    }
    return error(res, 400, 'validation_failed', 'unsupported_grant_type');
});

app.use((req, res, next) => {
    try {
        req.claims = jwt.verify(req.headers.authorization.split(' ')[1], secret);
    } catch {
        return error(res, 401, 'bad_jwt', 'invalid JWT');
    }
    if (!sessions.has(req.claims.session_id)) {
        return error(res, 403, 'session_not_found', 'Session from session_id claim in JWT does not exist');
    }
    next();
});

app.get('/auth/v1/user', (req, res) => res.json(user));

app.post('/auth/v1/logout', (req, res) => {
    sessions.delete(req.claims.session_id);
    res.status(204).end();
});

app.get('/rest/v1/notes', (req, res) => res.json([{ id: 1, owner: req.claims.sub }]));

app.listen(process.env.PORT, '127.0.0.1');

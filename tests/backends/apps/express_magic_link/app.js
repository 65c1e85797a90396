// The usual link in a mail: https://www.npmjs.com/package/jsonwebtoken signs it and the session, and
// https://expressjs.com/en/resources/middleware/cookie-parser.html reads the cookie.
const cookieParser = require('cookie-parser');
const express = require('express');
const jwt = require('jsonwebtoken');

const SECRET = process.env.JWT_SECRET;
const app = express();
app.use(express.json());
app.use(cookieParser());

// Stands for the mail server.
let mail = '';
app.get('/mail', (req, res) => res.send(mail));

app.post('/auth/magic', (req, res) => {
    const token = jwt.sign({ email: req.body.email }, `${SECRET} of links`, { expiresIn: '15m' });
    mail = `/auth/magic?token=${token}`;
    res.json({ message: 'Look into your mail' });
});

app.get('/auth/magic', (req, res) => {
    try {
        const { email } = jwt.verify(req.query.token, `${SECRET} of links`);
        const token = jwt.sign({ sub: email }, SECRET, { expiresIn: '1d' });
        res.cookie('token', token, { httpOnly: true, sameSite: 'lax', maxAge: 86400000 });
        res.redirect('/');
    } catch {
        res.status(400).json({ message: 'The link is not valid' });
    }
});

app.get('/me', (req, res) => {
    try {
        res.json({ email: jwt.verify(req.cookies.token, SECRET).sub });
    } catch {
        res.status(401).json({ message: 'Not authenticated' });
    }
});

app.listen(process.env.PORT, '127.0.0.1');

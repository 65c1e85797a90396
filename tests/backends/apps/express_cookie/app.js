// The usual login with an httpOnly cookie: https://www.npmjs.com/package/jsonwebtoken with
// https://expressjs.com/en/resources/middleware/cookie-parser.html
const cookieParser = require('cookie-parser');
const express = require('express');
const jwt = require('jsonwebtoken');

const app = express();
app.use(express.json());
app.use(cookieParser());

const requireAuth = (req, res, next) => {
    try {
        req.user = jwt.verify(req.cookies.token, process.env.JWT_SECRET);
        next();
    } catch {
        res.status(401).json({ message: 'Not authenticated' });
    }
};

app.post('/auth/login', (req, res) => {
    const { email, password } = req.body;
    if (email !== 'test@shop.example' || password !== 'test') {
        return res.status(401).json({ message: 'Invalid credentials' });
    }
    const token = jwt.sign({ userId: 7 }, process.env.JWT_SECRET, { expiresIn: '1d' });
    res.cookie('token', token, { httpOnly: true, sameSite: 'strict', maxAge: 86400000 });
    res.json({ user: { id: 7, email } });
});

app.post('/auth/logout', (req, res) => {
    res.clearCookie('token');
    res.json({ message: 'Logged out' });
});

app.get('/auth/me', requireAuth, (req, res) => {
    res.json({ id: req.user.userId, cookies: Object.keys(req.cookies) });
});

app.listen(process.env.PORT, '127.0.0.1');

// https://www.passportjs.org/packages/passport-jwt/ with the login of jsonwebtoken's readme.
const express = require('express');
const jwt = require('jsonwebtoken');
const passport = require('passport');

const JwtStrategy = require('passport-jwt').Strategy,
    ExtractJwt = require('passport-jwt').ExtractJwt;

const users = [{ id: 1, username: 'test', password: 'test' }];

const opts = {};
opts.jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken();
opts.secretOrKey = process.env.JWT_SECRET;
opts.issuer = 'accounts.examplesoft.com';
opts.audience = 'yoursite.net';
passport.use(new JwtStrategy(opts, function(jwt_payload, done) {
    const user = users.find((user) => user.id === jwt_payload.id);
    return user ? done(null, user) : done(null, false);
}));

const app = express();
app.use(express.json());
app.use(passport.initialize());

app.post('/login', (req, res) => {
    const user = users.find((user) => user.username === req.body.username);
    if (!user || user.password !== req.body.password) {
        return res.status(401).json({ message: 'Wrong username or password' });
    }
    const token = jwt.sign({ id: user.id }, opts.secretOrKey, {
        expiresIn: '1h', issuer: opts.issuer, audience: opts.audience,
    });
    res.json({ success: true, token: 'Bearer ' + token });
});

app.get('/profile', passport.authenticate('jwt', { session: false }),
    function(req, res) {
        res.json({ username: req.user.username });
    }
);

app.listen(process.env.PORT, '127.0.0.1');

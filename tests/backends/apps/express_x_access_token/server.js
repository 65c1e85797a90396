// The shape of https://www.bezkoder.com/node-js-jwt-authentication-mysql/, without a database.
const express = require('express');
const jwt = require('jsonwebtoken');

const config = { secret: process.env.JWT_SECRET };
const user = { id: 1, username: 'test', email: 'test@shop.example', roles: ['ROLE_USER'] };
const app = express();

app.use(express.json());
app.use(express.urlencoded({ extended: true }));
app.use((req, res, next) => {
    res.header('Access-Control-Allow-Headers', 'x-access-token, Origin, Content-Type, Accept');
    next();
});

const verifyToken = (req, res, next) => {
    const token = req.headers['x-access-token'];
    if (!token) {
        return res.status(403).send({ message: 'No token provided!' });
    }
    jwt.verify(token, config.secret, (err, decoded) => {
        if (err) {
            return res.status(401).send({ message: 'Unauthorized!' });
        }
        req.userId = decoded.id;
        next();
    });
};

app.post('/api/auth/signin', (req, res) => {
    if (req.body.username !== user.username || req.body.password !== 'test') {
        return res.status(401).send({ accessToken: null, message: 'Invalid Password!' });
    }
    const token = jwt.sign({ id: user.id }, config.secret, { expiresIn: 86400 });
    res.status(200).send({ ...user, accessToken: token });
});

app.get('/api/test/all', (req, res) => {
    res.status(200).send('Public Content.');
});

app.get('/api/test/user', [verifyToken], (req, res) => {
    res.status(200).send(`User Content of ${req.userId}.`);
});

app.listen(process.env.PORT, '127.0.0.1');

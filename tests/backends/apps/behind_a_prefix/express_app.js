// Express. `trust proxy` names the proxies; the prefix is in X-Forwarded-Prefix, which it does not read.
const express = require('express');

const app = express();
app.set('trust proxy', 'loopback');
app.get('/where/', (req, res) => {
    const prefix = req.get('X-Forwarded-Prefix');
    const url = `${req.protocol}://${req.hostname}${prefix}${req.path}`;
    res.cookie('seen', 'yes').json({ url, client: req.ip });
});
app.get('/go', (req, res) => res.redirect('/where/'));
app.listen(process.env.PORT, '127.0.0.1');

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For PM2 and throng, which make the workers.
const http = require('http');

const server = http.createServer((request, answer) => answer.end('hello\n'));
server.listen(process.env.PORT, () => process.send?.('ready'));
process.on('SIGINT', () => server.close(() => process.exit()));

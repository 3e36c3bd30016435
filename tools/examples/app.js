// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A TCP server that knows nothing of lbctl and says hello:
//   sudo lbctl run -n 4 -- node tools/examples/app.js
//   nc 127.0.0.1 8124
'use strict';
const net = require('net');

const server = net.createServer((socket) => {
	socket.on('error', () => {});
	socket.end('hello\n');
});

server.listen(8124);
process.on('SIGTERM', () => server.close(() => process.exit(0)));

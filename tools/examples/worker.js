// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A worker that exchanges messages with whoever started it; the code is the same in both cases:
//   node tools/examples/master.js                                        (child_process.fork)
//   sudo lbctl run -n 2 --wait-ready -- node tools/examples/worker.js    (lbctl)
//   sudo lbctl send worker all '{"greet": "you"}'; sudo lbctl events worker
'use strict';
const net = require('net');

const server = net.createServer((socket) => {
	socket.on('error', () => {});
	socket.end(`from ${process.pid}\n`);
});

process.on('message', (message) => {
	process.send({ answer: `hello ${message.greet}`, pid: process.pid });
});

// what waits for READY: process.send('ready'), once the port is open
server.listen(Number(process.env.PORT ?? 8125), () => process.send('ready'));

process.on('SIGTERM', () => {
	server.close(() => process.exit(0));
});

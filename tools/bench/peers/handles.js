// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// server.js in child processes that have no listening socket of their own, by child_process.fork
// and net alone. BENCH_HANDLES=server: each gets the one that we have opened, and all accept from
// it, whoever is first. BENCH_HANDLES=connection: we accept, and send each connection to the next
// worker in turn. A worker that ends is not started again.
'use strict';
const net = require('net');
const path = require('path');
const { fork } = require('child_process');

const env = process.env;
const shared = env.BENCH_HANDLES === 'server';
const workers = [];

for (let number = 0; number < Number(env.BENCH_WORKERS); number++)
	workers.push(fork(path.join(__dirname, 'server.js'), { env: { ...env, BENCH_WORKER: number } }));

let next = 0;
const handOn = (connection) => {
	workers[next].send('connection', connection);
	next = (next + 1) % workers.length;
};

const options = { port: Number(env.BENCH_PORT), host: '127.0.0.1', backlog: 2048 };
const server = net.createServer({ pauseOnConnect: true }, handOn);

server.listen(options, () => {
	if (!shared)
		return;
	for (const worker of workers)
		worker.send('server', server);
	server.close(); // ours only: who accepts are they
});

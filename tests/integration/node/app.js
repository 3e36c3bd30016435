// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * app.js PORT FILE: a program that uses cluster and knows nothing of lbctl. Four workers; each answer
 * says which one it is. One that ends is replaced. What the primary is told of listening goes to FILE,
 * a line of JSON each. SIGUSR2: replaces all, one after the other. SIGTERM: ends them.
 */
'use strict';
const cluster = require('cluster');
const fs = require('fs');
const http = require('http');
const { once } = require('events');

const WORKERS = 4;
const [port, file] = process.argv.slice(2);

function note(line) {
	fs.appendFileSync(file, JSON.stringify(line) + '\n');
}

async function replaceAll() {
	for (const old of Object.values(cluster.workers)) {
		await once(cluster.fork({ NUMBER: old.number }), 'listening');
		old.disconnect();
		await once(old, 'exit');
	}
	note({ replaced: WORKERS });
}

function start(number) {
	cluster.fork({ NUMBER: number });
}

if (cluster.isPrimary) {
	cluster.on('fork', (worker) => worker.number = 0);
	cluster.on('exit', (worker) => worker.exitedAfterDisconnect || start(worker.number));
	cluster.on('message', (worker, number) => worker.number = number);
	cluster.on('listening', (worker, at) => note({ listening: worker.process.pid, at }));
	for (let i = 0; i < WORKERS; i++)
		start(i);
	process.on('SIGUSR2', replaceAll);
	process.on('SIGTERM', () => cluster.disconnect(() => process.exit()));
} else {
	const number = process.env.NUMBER;
	process.send(number);
	http.createServer((request, answer) => {
		answer.setHeader('X-Worker', number);
		answer.end('hello');
	}).listen(port);
}

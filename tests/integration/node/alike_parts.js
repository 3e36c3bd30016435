// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the scenarios of alike.js are made of, and what is told of them.
'use strict';
const cluster = require('cluster');
const http = require('http');
const path = require('path');
const { spawn } = require('child_process');
const { once } = require('events');
const { setTimeout: sleep } = require('timers/promises');

const ALIKE = path.join(__dirname, 'alike.js'); // --primary SCENARIO, --worker SCENARIO, --child
const PACKAGE = path.resolve(__dirname, '../../../tools/node/cluster.js');
const LISTENS = path.join(__dirname, 'listens.js');
const A = 8101, B = 8102, PRIVILEGED = 80; // shared in the cgroup that $HOOKED names
const C = 8109;
const [major, minor] = process.versions.node.split('.').map(Number);
const HAS_REUSEPORT = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);

const lines = [];
let heard = 0; // events `listening`

/* In order for each worker; of different workers there is no order. */
function log(worker, ...words) {
	const who = worker?.id ?? worker;
	lines.push([who, words.map((word) => typeof word === 'string' ? word : JSON.stringify(word)).join(' ')]);
}

function followEvents() {
	for (const event of ['fork', 'online', 'disconnect'])
		cluster.on(event, (worker) => log(worker, event, String(worker.exitedAfterDisconnect)));
	cluster.on('listening', (worker, at) => log(worker, 'listening', at, worker.state));
	cluster.on('listening', () => heard++);
	cluster.on('exit', (worker, code, signal) => log(worker, 'exit', [code, signal], String(worker.exitedAfterDisconnect)));
	cluster.on('message', (worker, message) => log(worker, 'says', message));
}

async function until(isTrue) {
	while (!await isTrue())
		await sleep(10);
}

async function workers(n, env) {
	const all = [];
	for (let i = 0; i < n; i++) {
		all.push(cluster.fork(env));
		await Promise.race([once(all[i], 'listening'), once(all[i], 'exit'), once(all[i], 'message')]);
	}
	return all;
}

function get(port, host = '127.0.0.1') {
	return new Promise((done) => {
		const request = http.get({ port, host, agent: false }, (answer) => {
			let text = '';
			answer.on('data', (part) => text += part);
			answer.on('end', () => done(text));
		});
		request.on('error', (error) => done(error.code));
	});
}

async function endAll() {
	for (const worker of Object.values(cluster.workers)) {
		const end = once(worker, 'exit');
		worker.disconnect();
		await end;
	}
}

/* In a worker: a server that answers with a word. */
function serve(...listen) {
	const server = http.createServer((request, answer) => answer.end(`port ${request.socket.localPort}`));
	server.on('error', ({ message, code, port, address }) => process.send({ message, code, port, address }));
	server.listen(...listen);
	return server;
}

/* A server that is none of the cluster's. */
async function foreign(options) {
	const program = `require('net').createServer().listen(${JSON.stringify(options)}, () => console.log('up'))`;
	const child = spawn(process.execPath, ['-e', program], { env: { LBCTL_CLUSTER: 'off' } });
	await once(child.stdout, 'data');
	return child;
}

/* What was told, by who told it. */
function printLines() {
	for (const who of [...new Set(lines.map(([teller]) => teller))].sort())
		lines.filter(([teller]) => teller === who).forEach(([, text]) => console.log(who, text));
}

module.exports = {
	ALIKE, PACKAGE, LISTENS, A, B, C, PRIVILEGED, HAS_REUSEPORT,
	log, printLines, followEvents, heard: () => heard, until, workers, get, endAll, serve, foreign,
};

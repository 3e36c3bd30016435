// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A master that listens, forks four workers (or as many as its argument says), accepts, and sends each
// connection to the next of them; workers-listen.js is the same with workers that listen themselves:
//   node tools/examples/master-accepts.js
'use strict';
const http = require('http');
const net = require('net');
const { fork } = require('child_process');

const port = Number(process.env.PORT ?? 8126);

function runWorker(number) {
	const server = http.createServer((request, response) => {
		response.writeHead(200, { 'Connection': 'close', 'X-Worker': number });
		response.end(`worker ${number} pid ${process.pid}\n`);
	});

	process.on('message', (message, socket) => {
		server.emit('connection', socket);
		socket.resume();
	});
}

function runMaster(count) {
	const workers = [];
	const start = (number) => {
		workers[number] = fork(__filename, ['worker', number]);
		workers[number].on('exit', () => setTimeout(start, 1000, number));
	};

	for (let number = 0; number < count; number++)
		start(number);

	let next = 0;
	net.createServer({ pauseOnConnect: true }, (socket) => {
		workers[next].send('connection', socket, (error) => error && socket.destroy());
		next = (next + 1) % count;
	}).listen(port);
}

const [role, number] = process.argv.slice(2);
if (role === 'worker')
	runWorker(number);
else
	runMaster(Number(role ?? 4));

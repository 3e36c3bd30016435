// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A master that forks four workers (or as many as its argument says), each of which listens itself;
// master-accepts.js is the same with a master that accepts for them. Without lbctl it takes Node.js
// 22.12, or 23.1, which share a port by reusePort:
//   sudo lbctl run --forks --policy rr -- node tools/examples/workers-listen.js
'use strict';
const http = require('http');
const { fork } = require('child_process');

const port = Number(process.env.PORT ?? 8126);

function runWorker(number) {
	const server = http.createServer((request, response) => {
		response.writeHead(200, { 'Connection': 'close', 'X-Worker': number });
		response.end(`worker ${number} pid ${process.pid}\n`);
	});

	server.listen({ port, reusePort: true });
	process.on('disconnect', () => server.close());
}

function runMaster(count) {
	const workers = [];
	const start = (number) => {
		workers[number] = fork(__filename, ['worker', number]);
		workers[number].on('exit', () => setTimeout(start, 1000, number));
	};

	for (let number = 0; number < count; number++)
		start(number);
}

const [role, number] = process.argv.slice(2);
if (role === 'worker')
	runWorker(number);
else
	runMaster(Number(role ?? 4));

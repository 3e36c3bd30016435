// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One worker per CPU, or as many as its argument says, by Node.js's cluster; nothing in it says lbctl:
//   sudo lbctl run --forks --policy rr -- node tools/examples/cluster.js 4
'use strict';
const cluster = require('cluster');
const http = require('http');

if (cluster.isMaster) {
	for (let i = 0; i < (process.argv[2] ?? require('os').cpus().length); i++)
		cluster.fork();
	cluster.on('listening', (worker, { address, port }) => {
		console.log(`[master] listening: worker${worker.id},pid:${worker.process.pid}, Address:${address}:${port}`);
	});
	cluster.on('exit', () => cluster.fork());
} else {
	http.createServer((request, response) => {
		response.writeHead(200, { 'Connection': 'close', 'X-Worker': cluster.worker.id - 1 });
		response.end(`worker${cluster.worker.id},PID:${process.pid}\n`);
	}).listen(8124);
}

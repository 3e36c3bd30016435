// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A server that joins service "web" (lbctl watch --group, or one of its own) and reports how busy its
 * event loop is. See tools/node.
 *
 *	LBCTL_SERVICE=web node tools/examples/join.js 8080
 */
'use strict';
const http = require('http');
const { join } = require('../node/join');

const port = Number(process.argv[2] ?? 8080);
const server = http.createServer((request, response) => response.end(`pid ${process.pid}\n`));

// reusePort is of Node.js 22.12 and 23.1 on; LISTEN_FDS is a socket from whoever started this
server.listen(process.env.LISTEN_FDS ? { fd: 3 } : { port, host: '0.0.0.0', reusePort: true });
process.on('SIGTERM', () => server.close());
join(server).then((worker) => {
	console.log(`worker ${worker.number}`);
}, (error) => {
	console.error(`can't join: ${error.message}`);
	process.exitCode = 1;
	server.close();
});

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An HTTP server that says which worker answered, and its process id:
//   sudo lbctl run -n 4 -- node tools/examples/http.js
//   curl http://127.0.0.1:3000/
'use strict';
const http = require('http');

const worker = process.env.LBCTL_WORKER ?? '-';
const server = http.createServer((request, response) => {
	response.setHeader('Connection', 'close');
	response.end(`worker ${worker} pid ${process.pid}\n`);
});

server.listen(3000);
// close() takes no more connections and calls back when the last one has ended
process.on('SIGTERM', () => server.close(() => process.exit(0)));

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The Node.js program of lb-bench: the same under lbctl run, cluster, PM2 and handles.js. Says which worker
// answered, as lbctl-demo-worker does. /slow?ms=N answers after N ms; /busy?us=N, BENCH_WORK_US
// of CPU time and, for worker 0, BENCH_SLOW_US of sleep hold the whole worker up.
'use strict';
const http = require('http');

const env = process.env;
const worker = Number(env.LBCTL_WORKER ?? env.BENCH_WORKER ?? env.NODE_APP_INSTANCE ?? 0);
const workUs = Number(env.BENCH_WORK_US ?? 0);
const sleepMs = worker === 0 ? Number(env.BENCH_SLOW_US ?? 0) / 1000 : 0;
const body = `worker ${worker} pid ${process.pid}\n`;
const nobody = new Int32Array(new SharedArrayBuffer(4));

const answer = (response) => {
	response.setHeader('X-Worker', worker);
	response.end(body);
};

const cpuUs = () => {
	const used = process.cpuUsage();
	return used.user + used.system;
};

const work = () => {
	const end = cpuUs() + workUs;
	while (cpuUs() < end)
		continue;
	if (sleepMs > 0)
		Atomics.wait(nobody, 0, 0, sleepMs);
};

const server = http.createServer((request, response) => {
	if (workUs > 0)
		work();
	if (request.url.startsWith('/slow?ms=')) {
		setTimeout(answer, Number(request.url.slice(9)), response);
		return;
	}
	if (request.url.startsWith('/busy?us='))
		Atomics.wait(nobody, 0, 0, Number(request.url.slice(9)) / 1000);
	answer(response);
});

const stop = () => server.close(() => process.exit(0));

process.on('SIGTERM', stop);
process.on('SIGINT', stop); // what PM2 sends
if (env.BENCH_HANDLES) {
	process.on('message', (what, handle) => {
		if (what === 'server')
			handle.on('connection', (socket) => server.emit('connection', socket));
		else if (handle) // none: the client has gone meanwhile
			server.emit('connection', handle);
	});
} else {
	server.listen({
		port: Number(env.BENCH_PORT),
		host: '127.0.0.1',
		backlog: env.BENCH_CLUSTER || env.pm_id ? 2048 : 511, // one socket, or one of N
		reusePort: env.BENCH_CLUSTER === 'reuseport',
	}, () => process.send?.('ready'));
}

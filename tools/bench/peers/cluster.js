// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// server.js under Node.js cluster. BENCH_CLUSTER: rr, none or reuseport. A worker that ends
// unasked is started again. SIGHUP: reload, one after the other. SIGUSR2: twice as many workers.
'use strict';
const cluster = require('cluster');
const fs = require('fs');
const path = require('path');

const count = Number(process.env.BENCH_WORKERS);

const start = (number) => new Promise((resolve) => {
	const worker = cluster.fork({ BENCH_WORKER: number });

	worker.number = number;
	worker.on('listening', resolve);
});

const replace = async (old) => {
	await start(old.number);
	const gone = new Promise((resolve) => old.on('exit', resolve));
	old.replaced = true;
	old.disconnect(); // closes its servers, ends when its connections have
	await gone;
};

cluster.schedulingPolicy = process.env.BENCH_CLUSTER === 'rr' ? cluster.SCHED_RR : cluster.SCHED_NONE;
cluster.setupPrimary({ exec: path.join(__dirname, 'server.js') });
cluster.on('exit', (worker) => {
	if (!worker.replaced)
		start(worker.number);
});
process.on('SIGHUP', async () => {
	for (const worker of Object.values(cluster.workers))
		await replace(worker);
});
process.on('SIGUSR2', () => {
	for (let number = count; number < 2 * count; number++)
		start(number);
});
for (let number = 0; number < count; number++)
	start(number);
fs.writeFileSync(path.join(process.env.BENCH_DIR, 'primary'), String(process.pid));

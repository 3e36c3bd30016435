// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios of alike.js. Servers that listen and close, and what the primary is told of them.
'use strict';
const cluster = require('cluster');
const net = require('net');
const { spawnSync } = require('child_process');
const { once } = require('events');
const { A, B, log, heard, until, workers, get, endAll, serve } = require('./alike_parts');

module.exports = {
	events: {
		own: 2,
		async primary() {
			await workers(2);
			log('primary', await get(A), cluster.settings.args, cluster.schedulingPolicy);
			await endAll();
		},
		worker: () => serve(A),
	},
	workerDisconnects: {
		own: 2,
		async primary() {
			const [worker] = await workers(2);
			worker.send('go');
			await once(worker, 'exit');
			log('primary', await get(A));
			await endAll();
		},
		worker() {
			serve(A);
			process.on('message', () => cluster.worker.disconnect());
		},
	},
	oneCloses: {
		own: 2,
		async primary() {
			const [worker] = await workers(2);
			worker.send('go');
			await once(worker, 'message');
			for (let i = 0; i < 5; i++)
				log('primary', await get(A));
			await endAll();
		},
		worker() {
			const server = serve(A);
			process.on('message', () => server.close(() => process.send('closed')));
		},
	},
	severalServers: {
		own: 4,
		async primary() {
			await workers(2);
			await until(() => heard() === 4);
			log('primary', await get(A), await get(B));
			await endAll();
		},
		worker() {
			serve(A);
			serve({ port: B, host: '127.0.0.1' });
		},
	},
	twiceInOneWorker: {
		own: 1,
		async primary() {
			const [worker] = await workers(1);
			worker.send('go');
			await once(worker, 'message');
			log('primary', await get(A));
			await endAll();
		},
		worker() {
			serve(A);
			process.on('message', () => serve(A));
		},
	},
	closesAndListensAgain: {
		own: 11,
		async primary() {
			const [worker] = await workers(1);
			worker.send('go');
			await once(worker, 'message');
			log('primary', await get(A));
			await endAll();
		},
		worker() {
			const server = serve(A);
			let times = 0;
			const again = () => times++ < 10 ? server.close(() => server.listen(A, again)) : process.send('done');
			process.on('message', again);
		},
	},
	slowToClose: {
		own: 2,
		async primary() {
			const [first] = await workers(1, { FIRST: 1 });
			const [second] = await workers(1);
			first.process.on('internalMessage', ({ act }) => act === 'close' && second.send('go'));
			first.send('go');
			await Promise.all([once(second, 'listening'), once(first, 'message')]);
			log('primary', await get(A));
			await endAll();
		},
		worker() {
			const { send } = process;
			if (!process.env.FIRST) {
				process.on('message', () => serve(A));
				return process.send('up');
			}
			const server = serve(A);
			process.on('message', () => server.close(() => process.send('closed')));
			process.send = (message, ...rest) => {
				send.call(process, message, ...rest);
				for (const end = Date.now() + 200; message.act === 'close' && Date.now() < end;);
			};
		},
	},
	backlog: {
		own: 2,
		async primary() {
			await workers(2);
			const { stdout } = spawnSync('ss', ['-Hltn', `sport = :${A}`], { encoding: 'utf8' });
			const lengths = stdout.trim().split('\n').map((line) => line.split(/ +/)[2]);
			log('primary', [...new Set(lengths)]);
			await endAll();
		},
		worker: () => serve({ port: A, backlog: 17 }),
	},
	abortSignal: {
		own: 2,
		async primary() {
			const [worker] = await workers(2);
			worker.send('go');
			await once(worker, 'message');
			log('primary', await get(A));
			await endAll();
		},
		worker() {
			const controller = new AbortController();
			const server = serve({ port: A, signal: controller.signal });
			server.on('close', () => process.send('closed'));
			process.on('message', () => controller.abort());
		},
	},
	scheduledByTheKernel: {
		own: 2,
		async primary() {
			cluster.schedulingPolicy = cluster.SCHED_NONE;
			await workers(2);
			log('primary', await get(A), cluster.schedulingPolicy);
			await endAll();
		},
		worker: () => serve(A),
	},
	maxConnections: {
		own: 0,
		async primary() {
			await workers(2);
			const open = [];
			for (let i = 0; i < 2; i++) {
				open.push(net.connect(A, '127.0.0.1'));
				log('primary', String((await once(open[i], 'data'))[0]));
			}
			open.forEach((socket) => socket.destroy());
			await endAll();
		},
		worker() {
			const server = net.createServer((socket) => socket.on('error', () => {}).write('hello'));
			server.maxConnections = 1;
			server.listen(A);
		},
	},
	dataOfServers: {
		own: 3,
		async primary() {
			await workers(3);
			await endAll();
		},
		worker() {
			const server = net.createServer();
			server._getServerData = () => `of ${cluster.worker.id}`;
			server._setServerData = (data) => process.send(data);
			server.listen(A);
		},
	},
};

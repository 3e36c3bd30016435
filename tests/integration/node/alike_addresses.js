// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios of alike.js. What can be listened at: addresses, ports that others have, port 0, and what is no TCP port.
'use strict';
const cluster = require('cluster');
const dgram = require('dgram');
const net = require('net');
const path = require('path');
const { once } = require('events');
const { A, C, PRIVILEGED, HAS_REUSEPORT, log, until, workers, get, endAll, serve, foreign } = require('./alike_parts');

module.exports = {
	foreignHasThePort: {
		own: 0,
		async primary() {
			const child = await foreign({ port: C, host: '127.0.0.1' });
			await workers(2, { OPTIONS: JSON.stringify({ port: C, host: '127.0.0.1' }) });
			await endAll();
			child.kill();
		},
		worker: () => serve(JSON.parse(process.env.OPTIONS)),
	},
	foreignSharesThePort: {
		own: 0,
		only: HAS_REUSEPORT,
		async primary() {
			const child = await foreign({ port: A, reusePort: true });
			await workers(2);
			await endAll();
			child.kill();
		},
		worker: () => serve(A),
	},
	addresses: {
		own: 12,
		async primary() {
			for (const options of [{ host: '::' }, { host: '0.0.0.0' }, { host: '::1' }, { host: 'localhost' },
				{ host: '::', ipv6Only: true }, {}]) {
				await workers(2, { OPTIONS: JSON.stringify({ port: A, ...options }) });
				log('primary', await get(A), await get(A, '::1'));
				await endAll();
			}
		},
		worker() {
			const server = serve(JSON.parse(process.env.OPTIONS));
			server.on('listening', () => process.send(server.address()));
		},
	},
	noSuchAddress: {
		own: 0,
		async primary() {
			await workers(2);
			await endAll();
		},
		worker: () => serve(A, '192.0.2.1'),
	},
	exclusive: {
		own: 0,
		async primary() {
			for (const worker of await workers(2)) {
				worker.kill();
				await once(worker, 'exit');
			}
		},
		worker() {
			const server = serve({ port: C, exclusive: true });
			server.on('listening', () => process.send(server.address()));
		},
	},
	portZero: {
		own: HAS_REUSEPORT ? 6 : 0,
		async primary() {
			const told = [];
			cluster.removeAllListeners('listening');
			cluster.removeAllListeners('message');
			cluster.on('listening', (worker, { port }) => told.push(port));
			const all = await workers(3);
			const ports = [];
			for (const worker of all) {
				worker.send('go');
				ports.push((await once(worker, 'message'))[0]);
			}
			const [first, second] = ports[0];
			await until(() => told.length === 6);
			log('primary', ports.every(([a, b]) => a === first && b === second), first !== second);
			log('primary', told.filter((port) => port === first).length);
			log('primary', await get(first) === `port ${first}`, await get(second) === `port ${second}`);
			await endAll();
		},
		worker() {
			const servers = [serve(0), serve()];
			process.on('message', () => process.send(servers.map((server) => server.address().port)));
		},
	},
	manyServers: {
		own: HAS_REUSEPORT ? 20 : 0,
		async primary() {
			cluster.removeAllListeners('listening');
			let listening = 0;
			cluster.on('listening', () => listening++);
			await workers(1);
			await until(() => listening === 20);
			await endAll();
		},
		worker() {
			for (let i = 0; i < 20; i++)
				serve(0);
		},
	},
	pipe: {
		own: 0,
		async primary() {
			await workers(2, { AT: path.join(process.cwd(), 'pipe') });
			const client = net.connect(path.join(process.cwd(), 'pipe'));
			await once(client, 'connect');
			client.destroy();
			await endAll();
		},
		worker: () => net.createServer().listen(process.env.AT),
	},
	datagrams: {
		own: 0,
		async primary() {
			await workers(2);
			await endAll();
		},
		worker() {
			const socket = dgram.createSocket('udp4');
			socket.bind(A, '127.0.0.1', () => process.send(socket.address()));
		},
	},
	descriptor: {
		own: 0,
		async primary() {
			const server = net.createServer();
			server.listen(C);
			await once(server, 'listening');
			await workers(1, { FD: server._handle.fd });
			server.close();
			await endAll();
		},
		worker: () => serve({ fd: Number(process.env.FD) }),
	},
	anotherUser: {
		own: 2,
		async primary() {
			cluster.setupPrimary({ uid: 65534, gid: 65534 });
			await workers(2);
			log('primary', await get(PRIVILEGED));
			await endAll();
		},
		worker: () => serve(PRIVILEGED),
	},
};

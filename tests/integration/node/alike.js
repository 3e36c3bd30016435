// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * alike.js [SCENARIO]...: programs that use cluster, each once as Node.js has it and once with
 * tools/node loaded: what they see and are told must be the same, and as many TCP listens as the
 * table says must have got a socket of their own. Prints what differs. Where Node.js can't set
 * SO_REUSEPORT itself, the caller has a cgroup ($HOOKED) in which these ports are shared.
 */
'use strict';
const assert = require('assert');
const { fork, spawn, spawnSync } = require('child_process');
const cluster = require('cluster');
const dgram = require('dgram');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');
const { once } = require('events');
const { setTimeout: sleep } = require('timers/promises');

const PACKAGE = path.resolve(__dirname, '../../../tools/node/cluster.js');
const LISTENS = path.join(__dirname, 'listens.js');
const A = 8101, B = 8102, PRIVILEGED = 80; // shared in the cgroup that $HOOKED names
const C = 8109;
const [major, minor] = process.versions.node.split('.').map(Number);
const HAS_REUSEPORT = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
const SCALE = Number(process.env.LB_TEST_SCALE ?? 100) / 100; // of a slow machine, which runs fewer
const SCENARIO_MS = 20000 / SCALE;

/* --- what scenarios are made of --- */

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

/* --- the scenarios: own is how many listens get a socket of their own, where Node.js can --- */

const scenarios = {
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
			await until(() => heard === 4);
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
			cluster.on('listening', () => heard++);
			await workers(1);
			await until(() => heard === 20);
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
	killed: {
		own: 4,
		async primary() {
			for (const worker of await workers(2)) {
				const end = once(worker, 'exit');
				worker.process.kill('SIGKILL');
				await end;
			}
			await workers(2);
			log('primary', await get(A));
			await endAll();
		},
		worker: () => serve(A),
	},
	endsAtOnce: {
		own: null, // it may end before it is answered
		async primary() {
			const descriptors = () => fs.readdirSync('/proc/self/fd').length;
			const before = descriptors();
			cluster.removeAllListeners('listening').removeAllListeners('disconnect');
			for (let i = 0; i < 8; i++) {
				const worker = cluster.fork({ MS: i }).on('error', () => {});
				await new Promise((done) => worker.on('exit', done));
			}
			await until(() => descriptors() === before);
			const child = await foreign({ port: A });
			child.kill();
		},
		worker() {
			const end = Date.now() + Number(process.env.MS);
			serve(A);
			serve(B);
			setImmediate(() => {
				while (Date.now() < end);
				process.reallyExit(3);
			});
		},
	},
	primaryKilled: {
		own: null, // told to one that is gone
		async primary() {
			const child = spawn(process.execPath, [__filename, '--primary', 'events'], { stdio: 'ignore', env: { ...process.env, STAYS: 1 } });
			await until(async () => await get(A) === `port ${A}`);
			const below = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
			child.kill('SIGKILL');
			await until(() => !below.some((pid) => fs.existsSync(`/proc/${pid}/exe`)));
			await until(async () => await get(A) === 'ECONNREFUSED');
			log('primary', 'they ended');
		},
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
	threadsAndChildren: {
		own: 0,
		async primary() {
			await workers(1);
			await endAll();
		},
		async worker() {
			const { Worker } = require('worker_threads');
			const program = `require('net').createServer().listen(${C}, function() { console.log(this.address().port); this.close(); })`;
			const thread = new Worker(program, { eval: true, stdout: true });
			await once(thread, 'exit');
			const child = fork(__filename, ['--child'], { silent: true });
			const [text] = await once(child.stdout, 'data');
			process.send([String(thread.stdout.read()), String(text)]);
		},
	},
	namedImports: {
		own: 2,
		async primary() {
			const program = `import ${JSON.stringify(PACKAGE.replace('.js', '.mjs'))};
				import { fork, setupPrimary } from 'node:cluster';
				setupPrimary({ exec: ${JSON.stringify(__filename)}, args: ['--worker', 'events'], execArgv: [] });
				const all = [fork(), fork()];
				all.forEach((worker) => worker.on('listening', () => worker.disconnect()));`;
			const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
				stdio: 'ignore', env: { ...process.env, NODE_OPTIONS: `--require ${LISTENS}` },
			});
			log('primary', status);
		},
	},
};

/* --- one scenario, in processes of its own --- */

async function bePrimary(name) {
	if (process.env.LBCTL_CLUSTER === 'on' && 'HOOKED' in process.env)
		fs.writeFileSync(path.join(process.env.HOOKED, 'cgroup.procs'), String(process.pid));
	cluster.setupPrimary({ args: ['--worker', name] });
	followEvents();
	if ('STAYS' in process.env)
		await workers(2).then(() => new Promise(() => {}));
	else
		await scenarios[name].primary();
	const order = [...new Set(lines.map(([who]) => who))].sort();
	for (const who of order)
		lines.filter((line) => line[0] === who).forEach(([, text]) => console.log(who, text));
}

function run(name, how) {
	const dir = fs.mkdtempSync('/tmp/lbctl-alike-');
	const listens = path.join(dir, 'listens');
	fs.chmodSync(dir, 0o755);
	const { stdout, stderr, status, signal } = spawnSync(process.execPath, [__filename, '--primary', name], {
		encoding: 'utf8', cwd: dir, timeout: SCENARIO_MS, killSignal: 'SIGKILL',
		env: { ...process.env, LBCTL_CLUSTER: how, LISTENS: listens, NODE_OPTIONS: `--require ${PACKAGE} --require ${LISTENS}` },
	});
	const told = fs.existsSync(listens) ? fs.readFileSync(listens, 'utf8') : '';
	fs.rmSync(dir, { recursive: true });
	return { text: `${stdout}${stderr}${status ?? signal}`.replaceAll(dir, 'DIR'), own: (told.match(/"own":true/g) ?? []).length, told };
}

function compare(name) {
	const { own, only = true } = scenarios[name];
	if (!only)
		return true;
	const stock = run(name, 'off'), ours = run(name, 'on');
	if (ours.text === stock.text && (own === null || ours.own === own) && stock.own === 0)
		return true;
	console.log(`--- ${name}, stock:\n${stock.text}\n--- with lbctl, ${ours.own} own sockets, not ${own}:\n${ours.text}\n${ours.told}`);
	return false;
}

const [how, ...names] = process.argv.slice(2);
if (how === '--primary') {
	bePrimary(names[0]).catch((error) => {
		console.log(error);
		process.exit(1);
	});
} else if (how === '--worker') {
	scenarios[names[0]].worker();
} else if (how === '--child') {
	net.createServer().listen(C, () => {
		console.log('child listens');
		process.disconnect();
		process.exit();
	});
} else {
	const every = Object.keys(scenarios);
	const all = how ? [how, ...names] : every.slice(0, Math.ceil(every.length * Math.min(SCALE, 1)));
	const good = all.filter(compare).length;
	console.log(`${good} of ${all.length} alike`);
	assert.strictEqual(good, all.length);
}

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios of alike.js. Workers and primaries that end, and threads, children and modules beside them.
'use strict';
const cluster = require('cluster');
const fs = require('fs');
const { fork, spawn, spawnSync } = require('child_process');
const { once } = require('events');
const { ALIKE, PACKAGE, LISTENS, A, B, C, log, until, workers, get, endAll, serve, foreign } = require('./alike_parts');

module.exports = {
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
			const child = spawn(process.execPath, [ALIKE, '--primary', 'events'], { stdio: 'ignore', env: { ...process.env, STAYS: 1 } });
			await until(async () => await get(A) === `port ${A}`);
			const below = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
			child.kill('SIGKILL');
			await until(() => !below.some((pid) => fs.existsSync(`/proc/${pid}/exe`)));
			await until(async () => await get(A) === 'ECONNREFUSED');
			log('primary', 'they ended');
		},
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
			const child = fork(ALIKE, ['--child'], { silent: true });
			const [text] = await once(child.stdout, 'data');
			process.send([String(thread.stdout.read()), String(text)]);
		},
	},
	namedImports: {
		own: 2,
		async primary() {
			const program = `import ${JSON.stringify(PACKAGE.replace('.js', '.mjs'))};
				import { fork, setupPrimary } from 'node:cluster';
				setupPrimary({ exec: ${JSON.stringify(ALIKE)}, args: ['--worker', 'events'], execArgv: [] });
				const all = [fork(), fork()];
				all.forEach((worker) => worker.on('listening', () => worker.disconnect()));`;
			const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
				stdio: 'ignore', env: { ...process.env, NODE_OPTIONS: `--require ${LISTENS}` },
			});
			log('primary', status);
		},
	},
};

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * alike.js [SCENARIO]...: programs that use cluster, each once as Node.js has it and once with
 * tools/node loaded: what they see and are told must be the same, and as many TCP listens as the
 * table says must have got a socket of their own. Prints what differs. Where Node.js can't set
 * SO_REUSEPORT itself, the caller has a cgroup ($HOOKED) in which these ports are shared.
 */
'use strict';
const assert = require('assert');
const cluster = require('cluster');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { spawnSync } = require('child_process');
const { PACKAGE, LISTENS, C, printLines, followEvents, workers } = require('./alike_parts');

const SCALE = Number(process.env.LB_TEST_SCALE ?? 100) / 100; // of a slow machine, which runs fewer
const SCENARIO_MS = Math.round(20000 / SCALE);

/* `own` is how many listens get a socket of their own, where Node.js can; null: that depends. */
const scenarios = {
	...require('./alike_servers'),
	...require('./alike_addresses'),
	...require('./alike_processes'),
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
	printLines();
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

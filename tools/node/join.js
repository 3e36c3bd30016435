// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A server that joins a service of lbctl, and tells it how busy this process is. It says the number
 * of its listening socket to the service's keeper, which takes a duplicate, puts the socket into the
 * service and closes the duplicate: no native code, no privileges. A line of JSON each way; see
 * "CONTROL SOCKET" in lbctl-json(5).
 */
'use strict';
const net = require('net');
const { once } = require('events');
const { setTimeout: sleep } = require('timers/promises');

const PATIENCE_MS = 5000; // of the keeper's answer
const AGAIN_MS = 1000; // until the next keeper is asked, where one has gone
const RETRY_MS = 50;
const MOST_UNSENT = 4096; // bytes: a keeper that is stopped is told no more

const workers = new Set();

function explain(error, service, path) {
	const causes = {
		ENOENT: `no keeper of ${service} at ${path}; lbctl run or lbctl watch ${service} starts one`,
		ECONNREFUSED: `the keeper of ${service} is dead (${path}); start it again`,
		EACCES: `may not connect to ${path}: the keeper of ${service} admits root, its own user, ` +
			'the user of run --user and --group',
	};
	const { code } = error;
	return causes[code] ? Object.assign(new Error(causes[code]), { code }) : error;
}

/* A connection to a keeper. Calls back with each answer, and once with why it has ended. */
function connect(service, onAnswer, onEnd) {
	const path = `/run/lbctl/${service}.stream`;
	const socket = net.connect(path);
	let text = '', why = new Error(`the keeper of ${service} went away`);

	socket.setEncoding('utf8');
	socket.on('data', (more) => {
		const lines = (text + more).split('\n');
		text = lines.pop();
		try {
			lines.map((line) => JSON.parse(line)).forEach(onAnswer);
		} catch {
			socket.destroy(new Error(`the keeper of ${service} gave an answer that makes no sense`));
		}
	});
	socket.on('error', (error) => {
		why = explain(error, service, path);
	});
	socket.on('close', () => onEnd(why));
	return socket;
}

/* The number of its listening socket. */
function descriptorOf(server) {
	const fd = server._handle?.fd;

	if (!(fd >= 0))
		throw new Error(server._handle ?
			'this server has no socket of its own: with cluster, load lbctl/cluster first' :
			'the server does not listen');
	return fd;
}

class Worker {
	#server;
	#service;
	#asks;
	#socket = null;
	#place = null;
	#again = null;
	#reports = null;
	#busy = performance.eventLoopUtilization();

	constructor(server, service, number, reportMs) {
		this.#server = server;
		this.#service = service;
		this.#asks = number === undefined ? {} : { worker: number };
		if (reportMs)
			this.#reports = setInterval(() => this.report(), reportMs).unref();
		server.once('close', () => this.close());
	}

	/* Once it has joined. Asks again where the keeper has sent it away for a moment only. */
	static async join(...args) {
		const worker = new Worker(...args);
		const end = performance.now() + PATIENCE_MS;

		workers.add(worker);
		for (;;) {
			try {
				await worker.#connect();
				return worker;
			} catch (error) {
				// EPIPE: it was sent away before the question was sent
				if (!(error.again || error.code === 'EPIPE') || performance.now() > end) {
					worker.close();
					throw error;
				}
			}
			await sleep(RETRY_MS);
		}
	}

	/* Its number, as `lbctl show` counts them; -1 while it is in no service. */
	get number() {
		return this.#place?.worker ?? -1;
	}

	/* Joins, and stays connected to report. Rejects with the keeper's reason. */
	#connect() {
		const join = { fd: descriptorOf(this.#server), ...this.#asks };

		return new Promise((resolve, reject) => {
			const late = setTimeout(() => this.#socket.destroy(
				new Error(`the keeper of ${this.#service} did not answer`)), PATIENCE_MS);

			this.#socket = connect(this.#service, (answer) => {
				clearTimeout(late);
				if (!this.#place && answer.status === 0) {
					this.#place = answer;
					this.#socket.unref();
					resolve();
				} else if (answer.status !== 0) {
					// what it refuses later is a report: the service is not what it was
					this.#socket.destroy(Object.assign(new Error(answer.text),
						{ status: answer.status, again: answer.again }));
				}
			}, (why) => {
				clearTimeout(late);
				reject(why);
				if (this.#place)
					this.#later();
				this.#place = null;
			});
			this.#socket.write(`${JSON.stringify({ join })}\n`);
		});
	}

	/* The keeper is gone, or the service: the next one finds the socket where it was. */
	#later() {
		this.#again = setTimeout(() => {
			if (this.#server?.listening)
				this.#connect().catch(() => this.#later());
			else
				this.close();
		}, AGAIN_MS).unref();
	}

	#say(message) {
		if (this.#place && this.#socket.writableLength < MOST_UNSENT)
			this.#socket.write(`${JSON.stringify(message)}\n`);
	}

	/* A whole number; without one, how busy the event loop was since the last report, in percent. */
	report(load) {
		if (load === undefined) {
			const since = performance.eventLoopUtilization();
			load = performance.eventLoopUtilization(since, this.#busy).utilization * 100;
			this.#busy = since;
		}
		if (!(load >= 0 && load <= Number.MAX_SAFE_INTEGER))
			throw new RangeError('a load is a number from 0');
		this.#say({ load: Math.round(load) });
	}

	/* The last report still holds. */
	heartbeat() {
		this.#say({ heartbeat: true });
	}

	/* No more reports. The socket stays in the service until it is closed. */
	close() {
		this.#server = null;
		this.#place = null;
		clearTimeout(this.#again);
		clearInterval(this.#reports);
		this.#socket?.destroy();
		workers.delete(this);
	}
}

/* What LBCTL_WORKER says is meant for the service that LBCTL_SERVICE names. */
function numberOf(service) {
	const text = process.env.LBCTL_WORKER;

	return service === process.env.LBCTL_SERVICE && /^\d{1,4}$/.test(text) ? Number(text) : undefined;
}

async function join(server, { service = process.env.LBCTL_SERVICE, worker = numberOf(service),
			      reportMs = 250 } = {}) {
	if (!/^[A-Za-z][\w-]{0,62}$/.test(service ?? ''))
		throw new TypeError('no name of a service was given, by LBCTL_SERVICE neither, or it is none');
	if (!server.listening)
		await once(server, 'listening');
	return Worker.join(server, service, worker, reportMs);
}

function report(load) {
	for (const worker of workers)
		worker.report(load);
}

module.exports = { join, report };

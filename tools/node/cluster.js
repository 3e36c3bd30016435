// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Loaded before a program that uses Node.js's cluster (--require lbctl/cluster): each worker listens
 * on a socket of its own, which the kernel steers, and the primary is on the path of no connection.
 *
 * A worker asks its primary for a listening socket, as ever. The primary binds one more with
 * SO_REUSEPORT, hands it over and keeps none of it; all else (events, disconnect, close) is Node's
 * own code, which takes it for a socket that workers share. Where that can't be, Node's own primary
 * answers as if this were not loaded: for pipes, descriptors and UDP, where a port can't be shared,
 * and with whatever error there is to tell.
 */
'use strict';
const cluster = require('cluster');
const { constants } = require('os');
const diagnostics = require('diagnostics_channel');
const net = require('net');
const { getSystemErrorName } = require('util');
const { isMainThread } = require('worker_threads');

const IN_USE = -constants.errno.EADDRINUSE;
const UV_TCP_REUSEPORT = 2; // of uv.h
const RETRY_MS = 10;
const RETRIES = 50;

const listens = diagnostics.channel('lbctl.cluster.listen');

/* Before 22.12 and 23.1 only the bind hook of `lbctl run` can set SO_REUSEPORT. */
const [major, minor] = process.versions.node.split('.').map(Number);
const REUSEPORT = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12) ?
	UV_TCP_REUSEPORT : 0;

/*
 * The ports of which workers have sockets: { port, flags, data, holders }. holders maps the key by
 * which a worker will say that it has closed one to that worker.
 */
const ports = new Map();
/* Sockets on their way: handle -> worker. What waits to be sent to one that ends is never sent. */
const unsent = new Map();
let keys = 0;
let lastRelease = -Infinity; // by performance.now()

/* As Node.js tells them apart; each port 0 of one worker is another port. */
function nameOf({ address, port, addressType, index }) {
	return [address, port, addressType, port === 0 ? index : ''].join(' ');
}

/* { handle, port }, or { errno }. What bind(2) said is told by libuv once it is asked for the name. */
function bind({ address, addressType, flags }, port, flag) {
	const handle = net._createServerHandle(address, port, addressType, undefined, (flags | 0) | flag);
	const name = {};

	if (typeof handle === 'number')
		return { errno: handle };
	const errno = handle.getsockname(name);
	if (!errno)
		return { handle, port: name.port };
	handle.close();
	return { errno };
}

/* Is SO_REUSEPORT set for whoever binds this port? Only beside a socket that listens is that seen. */
function isShared(query, port) {
	const first = bind(query, port, 0);
	if (first.errno)
		return false;
	const second = first.handle.listen(1) ? { errno: IN_USE } : bind(query, port, 0);
	first.handle.close();
	second.handle?.close();
	return !second.errno;
}

/* The first socket of a port that nobody has: { handle, port }, or { errno } and perhaps { why }. */
function open(query) {
	let { port } = query;

	if (port || !REUSEPORT) {
		// without SO_REUSEPORT: who has the port already is not to be joined
		const alone = bind(query, port, 0);
		if (alone.errno)
			return alone;
		alone.handle.close();
		port = alone.port;
	}
	if (!REUSEPORT && !isShared(query, port))
		return { errno: IN_USE, why: 'the port is not shared' };
	return bind(query, port, REUSEPORT);
}

/* The primary's own descriptor is closed once the worker has been sent its. */
function reply(worker, query, answer, handle) {
	const close = () => unsent.delete(handle) && handle.close();

	if (handle)
		unsent.set(handle, worker);
	worker.process.send({ cmd: 'NODE_CLUSTER', ack: query.seq, ...answer }, handle, undefined, close);
}

function tell(worker, { address, port }, why) {
	if (listens.hasSubscribers)
		listens.publish({ worker: worker.id, address, port, own: !why, ...(why && { why }) });
}

function give(worker, query, entry, { errno = 0, handle }) {
	const key = `lbctl ${++keys}`;

	if (!errno)
		entry.holders.set(key, worker);
	tell(worker, { address: query.address, port: entry.port }, errno && getSystemErrorName(errno));
	reply(worker, query, { errno, key, data: entry.data }, handle);
}

function has(entry, worker) {
	return [...entry.holders.values()].includes(worker);
}

/* One more socket of a port that workers have. A worker has a port once. */
function giveMore(worker, query, entry) {
	const { address, addressType } = query;
	const more = query.port && has(entry, worker) ? { errno: IN_USE } :
		bind({ address, addressType, flags: entry.flags }, entry.port, REUSEPORT);

	give(worker, query, entry, more);
}

/* Its socket may still be open when a worker says that it has closed it, or when its channel ends. */
function mayBeClosing() {
	return performance.now() - lastRelease < RETRY_MS * RETRIES;
}

/* Is the question answered, or will it be? If not, it is Node's to answer. */
function answer(worker, query, retries = RETRIES) {
	const name = nameOf(query);
	const entry = ports.get(name);

	if (entry) {
		giveMore(worker, query, entry);
		return true;
	}
	if (query.lbctl) {
		tell(worker, query, query.lbctl);
		return false;
	}
	const first = open(query);
	if (first.errno === IN_USE && !first.why && retries && mayBeClosing()) {
		setTimeout(askAgain, RETRY_MS, worker, query, retries - 1);
		return true;
	}
	if (first.errno) {
		tell(worker, query, first.why ?? getSystemErrorName(first.errno));
		return false;
	}
	const opened = { port: first.port, flags: query.flags, data: query.data, holders: new Map() };
	ports.set(name, opened);
	give(worker, query, opened, first);
	return true;
}

function askAgain(worker, query, retries) {
	if (worker.isConnected() && !answer(worker, query, retries))
		worker.process.emit('internalMessage', { ...query, act: 'queryServer', lbctl: 'left' });
}

/* The sockets of which this is true are closed. */
function release(isClosed) {
	for (const [name, { holders }] of ports) {
		for (const [key, worker] of holders) {
			if (isClosed(key, worker) && holders.delete(key))
				lastRelease = performance.now();
		}
		if (!holders.size)
			ports.delete(name);
	}
}

function end(worker) {
	release((key, holder) => holder === worker);
	for (const [handle, receiver] of unsent) {
		if (receiver === worker && unsent.delete(handle))
			handle.close();
	}
}

function isOfTcp({ addressType, port, fd }) {
	return (addressType === 4 || addressType === 6) && port >= 0 && !(fd >= 0);
}

/* Comes before Node's own listener, which ignores what it does not know. */
function onMessage(worker, message) {
	if (message.cmd !== 'NODE_CLUSTER' || message.ack !== undefined)
		return;
	if (message.act === 'close')
		release((key) => key === message.key);
	else if (message.act === 'queryServer' && isOfTcp(message) && message.lbctl !== 'left' &&
		 !worker.exitedAfterDisconnect && answer(worker, message))
		message.act = 'lbctl';
}

function follow(worker) {
	worker.process.prependListener('internalMessage', (message) => onMessage(worker, message));
	worker.process.once('exit', () => end(worker));
}

function bePrimary() {
	const { fork } = cluster;

	Object.values(cluster.workers).forEach(follow);
	cluster.fork = function(env) {
		const worker = Reflect.apply(fork, this, [env]);
		follow(worker);
		return worker;
	};
	require('module').syncBuiltinESMExports();
}

/* With maxConnections, others are to get what is beyond it: only the primary can do that. */
function beWorker() {
	const { _getServer } = cluster;

	cluster._getServer = function(server, options, callback) {
		if (server.maxConnections > 0 && !server.dropMaxConnection)
			options = { ...options, lbctl: 'maxConnections is set' };
		return Reflect.apply(_getServer, this, [server, options, callback]);
	};
}

/*
 * Of its own accord where each worker can set SO_REUSEPORT. Not below `lbctl run`, whose hook does
 * that for all versions and which steers one socket a worker, unless it says that it follows all.
 */
function isWanted() {
	switch (process.env.LBCTL_CLUSTER) {
	case 'off':
		return false;
	case 'on':
		return true;
	default:
		return Boolean(REUSEPORT) && !('LBCTL_SERVICE' in process.env);
	}
}

const active = process.platform === 'linux' && isMainThread && isWanted() &&
	typeof net._createServerHandle === 'function';

if (active && cluster.isPrimary)
	bePrimary();
else if (active && typeof cluster._getServer === 'function')
	beWorker();

module.exports = { active };

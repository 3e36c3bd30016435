// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Talks to worker.js by child_process.fork, without lbctl; what lbctl run gives a worker is the same:
//   node tools/examples/master.js
'use strict';
const { fork } = require('child_process');
const path = require('path');

const worker = fork(path.join(__dirname, 'worker.js'));

worker.on('message', (message) => {
	console.log('worker says:', message);
	if (message === 'ready')
		worker.send({ greet: 'you' });
	else
		worker.kill('SIGTERM');
});
worker.on('exit', (code, signal) => console.log('worker ended:', signal ?? code));

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// waits.js timer|blocking PORT MS...: worker N answers after the Nth time; blocking, it does nothing else meanwhile.
const [how, port, ...times] = process.argv.slice(2);
const ms = Number(times[process.env.LBCTL_WORKER]);
const cell = new Int32Array(new SharedArrayBuffer(4));

require('http').createServer((request, answer) => {
  if (how === 'timer') {
    setTimeout(() => answer.end('hello\n'), ms);
    return;
  }
  Atomics.wait(cell, 0, 0, ms);
  answer.end('hello\n');
}).listen(port, '127.0.0.1');

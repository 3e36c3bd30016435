// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Knows nothing of signals.
require('http').createServer((request, answer) => {
  setTimeout(() => answer.end('hello\n'), request.url === '/slow' ? 300 : 0);
}).listen(8080, '127.0.0.1');

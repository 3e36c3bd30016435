// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A primary and two workers of its own.
const cluster = require('cluster');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
} else {
  require('./app.js');
}

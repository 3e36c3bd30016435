// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A server of Nest, by cluster, of which nothing says lbctl: a primary that forks four, and forks another
// for one that ends. SIGUSR2: replaces all, one after the other. What TypeScript's decorators would do is
// called as functions.
const cluster = require('cluster');
const { once } = require('events');
const { Controller, Get, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');

class Hello {
  answer() {
    return 'hello\n';
  }
}
Get()(Hello.prototype, 'answer', Object.getOwnPropertyDescriptor(Hello.prototype, 'answer'));
Controller()(Hello);

class App {}
Module({ controllers: [Hello] })(App);

async function replaceAll() {
  for (const old of Object.values(cluster.workers)) {
    await once(cluster.fork(), 'listening');
    old.disconnect();
    await once(old, 'exit');
  }
  console.log('replaced');
}

async function serve() {
  const app = await NestFactory.create(App, { logger: false });
  app.enableShutdownHooks();
  await app.listen(process.env.PORT);
}

if (cluster.isPrimary) {
  for (let i = 0; i < 4; i++)
    cluster.fork();
  cluster.on('exit', (worker) => worker.exitedAfterDisconnect || cluster.fork());
  process.on('SIGUSR2', replaceAll);
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit()));
} else {
  serve();
}

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
Deno.serve({ hostname: '127.0.0.1', port: 8080 }, async (request) => {
  if (request.url.endsWith('/slow')) await new Promise((done) => setTimeout(done, 300));
  return new Response('hello\n');
});

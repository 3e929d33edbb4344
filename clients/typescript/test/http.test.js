// The client and its `fetch` with an HTTP server.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { createClient } from '../dist/index.js';

const DEADLINE = 10_000;

/** Starts a server, which sends this text, and another one 50 ms later, and keeps its responses open. */
async function serve(text, later = '') {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.on('close', () => (request.isClosed = true));
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text);
    if (later) setTimeout(() => response.write(later), 50);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const baseUrl = `http://127.0.0.1:${server.address().port}`;
  const states = [];
  const events = (request, options) =>
    createClient({ baseUrl, ...options }).events('/news', { onState: state => states.push(state), ...request });
  return { requests, states, events };
}

/** Waits until this is so. */
async function until(isSo) {
  for (const start = Date.now(); !isSo(); ) {
    assert.ok(Date.now() - start < DEADLINE, String(isSo));
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

test('throw() ends a stream with its error, and closes the connection', { timeout: DEADLINE }, async () => {
  const server = await serve(':\nretry: 10\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\n');
  const events = server.events();
  assert.equal((await events.next()).value.data, 1);
  const error = new Error('of the loop');
  await assert.rejects(events.throw(error), error);
  assert.deepEqual(await events.next(), { value: undefined, done: true });
  await until(() => server.requests[0].isClosed);
  assert.equal(server.requests.length, 1);
  assert.deepEqual(server.states, ['connecting', 'open', 'ended']);
});

for (const end of ['return', 'throw']) {
  test(`${end}() does not wait for the next event`, { timeout: DEADLINE }, async () => {
    const server = await serve(':\nretry: 10\ndata: 1\n\n');
    const events = server.events();
    await events.next();
    const next = events.next();
    if (end === 'return') assert.deepEqual(await events.return(), { value: undefined, done: true });
    else await assert.rejects(events.throw(new Error('of the loop')), /of the loop/);
    assert.deepEqual(await next, { value: undefined, done: true });
    await until(() => server.requests[0].isClosed);
    assert.equal(server.requests.length, 1);
    assert.deepEqual(server.states, ['connecting', 'open', 'ended']);
  });
}

test('return() does not wait for the time of the next connection', { timeout: DEADLINE }, async () => {
  const server = await serve(':\n');
  const events = server.events({}, { fetch: () => Promise.reject(new TypeError('fetch failed')) });
  const next = events.next();
  await until(() => server.states.includes('waiting'));
  await events.return();
  assert.deepEqual(await next, { value: undefined, done: true });
  assert.deepEqual(server.states, ['connecting', 'waiting', 'ended']);
});

test('a stream that was left before it began asks nothing', async () => {
  const server = await serve(':\n');
  const events = server.events();
  await events.return();
  await events.next();
  assert.deepEqual([server.requests, server.states], [[], []]);
});

test('an abort in onState is heeded at once', { timeout: DEADLINE }, async () => {
  const reason = new Error('enough');
  for (const [n, state] of ['connecting', 'open'].entries()) {
    const server = await serve(':\n');
    const stop = new AbortController();
    const onState = now => now === state && stop.abort(reason);
    let asked = 0;
    const headers = () => (asked++, {});
    await assert.rejects(server.events({ signal: stop.signal, onState }, { headers }).next(), reason);
    assert.deepEqual([asked, server.requests.length], [n, n]);
    await until(() => server.requests.every(request => request.isClosed));
  }
});

test('headers that never come keep no stream open', { timeout: DEADLINE }, async () => {
  const reason = new Error('enough');
  const server = await serve(':\n');
  const stop = new AbortController();
  const hanging = { headers: () => new Promise(() => {}) };
  const aborted = server.events({ signal: stop.signal }, hanging).next();
  await until(() => server.states.includes('connecting'));
  stop.abort(reason);
  await assert.rejects(aborted, reason);
  const left = server.events({}, hanging);
  const next = left.next();
  await left.return();
  assert.deepEqual(await next, { value: undefined, done: true });
  const own = new AbortController();
  const headers = () => {
    own.abort(reason);
    return new Promise(() => {});
  };
  await assert.rejects(server.events({ signal: own.signal }, { headers }).next(), reason);
  assert.deepEqual(server.requests, []);
  assert.deepEqual(server.states, Array(3).fill(['connecting', 'ended']).flat());
});

test('an error of onState reaches the loop', { timeout: DEADLINE }, async () => {
  const error = new Error('of the page');
  for (const state of ['connecting', 'open', 'waiting', 'ended']) {
    const server = await serve(':\nretry: 10\nevent: helios:end\ndata:\n\n');
    const seen = [];
    const onState = now => {
      seen.push(now);
      if (now === state) throw error;
    };
    const broken = { fetch: () => Promise.reject(new TypeError('fetch failed')) };
    const loop = async () => {
      for await (const _ of server.events({ onState }, state === 'waiting' ? broken : {}));
    };
    await assert.rejects(loop(), error);
    assert.deepEqual(seen.slice(seen.indexOf(state)), state === 'ended' ? ['ended'] : [state, 'failed']);
    await until(() => server.requests.every(request => request.isClosed));
  }
});

test('a silence may be as long as any', { timeout: DEADLINE }, async () => {
  for (const idle of [Infinity, 2 ** 31]) {
    const server = await serve(':\nretry: 10\nid: 1\ndata: 1\n\n', 'event: helios:end\ndata:\n\n');
    for await (const _ of server.events({ idle }));
    assert.equal(server.requests.length, 1);
  }
});

test('a request that can never be sent fails before it is tried', { timeout: DEADLINE }, async () => {
  const server = await serve(':\n');
  for (const request of [
    { header: { 'x-a': 'two\nlines' } }, { header: { 'not a name': 'x' } }, { lastEventId: 'two\nlines' }, { lastEventId: 'x'.repeat(8_193) }, { body: 1 },
    { method: 'not a method', reconnect: true },
  ]) {
    await assert.rejects(server.events(request).next(), TypeError, JSON.stringify(request));
  }
  assert.deepEqual([server.requests, server.states], [[], []]);
});

test('an id that a header cannot hold is sent in the query', { timeout: DEADLINE }, async () => {
  for (const lastEventId of ['a\x01b', 'a\x7fb', '\tab', ' a', 'a ', 'a\x01&ü']) {
    const server = await serve(':\ndata: 1\n\n');
    const events = server.events({ lastEventId, query: { page: 1 } });
    await events.next();
    await events.return();
    const [{ url, headers }] = server.requests;
    const sent = [...new URL(url, 'http://x').searchParams];
    assert.deepEqual([sent, headers['last-event-id']], [[['page', '1'], ['lastEventId', lastEventId]], undefined]);
  }
});

test('headers without a value are not sent', { timeout: DEADLINE }, async () => {
  const server = await serve(':\ndata: 1\n\n');
  const events = server.events({ header: { 'x-a': undefined, 'x-b': null, 'x-c': 'c', 'x-d': 0 } });
  await events.next();
  await events.return();
  const { headers } = server.requests[0];
  assert.deepEqual(['x-a', 'x-b', 'x-c', 'x-d'].map(name => headers[name]), [undefined, undefined, 'c', '0']);
});

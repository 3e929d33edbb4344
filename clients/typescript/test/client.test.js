import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { createClient, HeliosError } from '../dist/index.js';
import { BREAKS, ENDS, Server, STAYS, hangs, problem, refused, settled, status, stream } from './server.js';

const END = 'event: helios:end\nid: helios:end\ndata: \n\n';
const RETRY = ':\nretry: 1000\n';

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  mock.method(Math, 'random', () => 0);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** Reads a path of a server that answers by this script. */
function read(answers, request, options, path = '/news') {
  const server = new Server(...answers);
  const api = createClient({ baseUrl: 'http://server', fetch: server.fetch, ...options });
  return server.read(api.events(path, { onState: server.onState, ...request }));
}

const names = server => server.events.map(event => event.event);
const data = server => server.events.map(event => event.data);

test('what broke off is resumed by its id, in the header', async () => {
  const server = read([
    stream(RETRY + 'event: said\nid: 1\ndata: "a"\n\nevent: said\nid: 2\nda', BREAKS),
    stream(RETRY + 'event: said\nid: 2\ndata: "b"\n\n' + END),
  ]);
  await server.waits(1_000);
  assert.equal(await server.done, undefined);
  assert.deepEqual(server.asked.map(asked => asked.id), [null, '1']);
  assert.ok(server.asked.every(asked => asked.url === 'http://server/news' && asked.cache === 'no-store'));
  assert.equal(server.asked[0].headers.get('accept'), 'text/event-stream');
  assert.deepEqual(server.events.map(event => event.lastEventId), ['1', '2', 'helios:end']);
  assert.deepEqual(data(server), ['a', 'b', '']);
  const lost = 'waiting: terminated';
  assert.deepEqual(server.states, ['connecting', 'open', lost, 'connecting', 'open', 'ended']);
});

test('a given id is brought, in UTF-8 where it is not ASCII', async () => {
  const server = read([status(204)], { lastEventId: 'grüße' });
  await server.done;
  assert.equal(server.asked[0].id, Buffer.from('grüße').toString('latin1'));
});

test('a client that is sent away comes back when it was told to', async () => {
  for (const name of ['reconnect', 'overloaded']) {
    const server = read([
      stream(RETRY + `event: helios:${name}\nretry: 5000\ndata: {"reason":"shutdown"}\n\n`),
      stream(RETRY + END),
    ]);
    await server.waits(5_000);
    assert.equal(await server.done, undefined);
    assert.deepEqual(names(server), [`helios:${name}`, 'helios:end']);
  }
});

test('a stream that starts again without a word is asked for again', async () => {
  const server = read([stream(RETRY + 'data: 1\n\n'), stream(RETRY + 'data: 2\n\n' + END)]);
  await server.waits(1_000);
  await server.done;
  assert.deepEqual(data(server), [1, 2, '']);
});

test('a server that said when to come back need not say it again', async () => {
  const server = read([stream(RETRY + 'data: 1\n\n'), stream(':\n'), status(204)]);
  await server.waits(1_000, 1);
  await server.waits(1_000, 2);
  assert.equal(await server.done, undefined);
});

test('connections without an event are made later and later', async () => {
  const server = read([stream(RETRY), stream(RETRY), status(204)]);
  await server.waits(1_000, 1);
  await server.waits(2_000, 2);
  await server.done;
});

test('a stream that fails each time is asked for later and later', async () => {
  const failing = RETRY + 'event: helios:ready\nid: 1\ndata: {}\n\nevent: error\ndata: {"status":500}\n\n';
  const server = read([
    stream(failing), stream(failing), stream(failing, BREAKS), stream(RETRY + 'data: x\n\n'), stream(failing),
    stream(failing.replaceAll('error', 'helios:reconnect')), status(204),
  ]);
  for (const [n, ms] of [1_000, 2_000, 4_000, 1_000, 1_000, 1_000].entries()) await server.waits(ms, n + 1);
  assert.equal(await server.done, undefined);
  Math.random.mock.mockImplementation(() => 0.5);
  const spread = read([stream(failing), status(204)]);
  await spread.waits(1_500);
  await spread.done;
});

test('a wait that is longer than any timer is as long as the longest', async () => {
  const server = read([stream('retry: 99999999999\ndata: 1\n\n'), status(204)]);
  await server.waits(2 ** 31 - 1);
  await server.done;
});

test('a finished stream is not asked for again', async () => {
  const server = read([stream(RETRY + END, STAYS)]);
  assert.equal(await server.done, undefined);
  assert.equal(server.asked.length, 1);
  assert.ok(server.asked[0].isClosed);
  const again = read([status(204)], { lastEventId: 'helios:end' });
  assert.equal(await again.done, undefined);
  assert.deepEqual(again.states, ['connecting', 'ended']);
});

test('a server that is away is asked later and later, up to half a minute', async () => {
  const server = read([...Array(10).fill(refused), stream(RETRY + 'data: x\n\n', BREAKS), status(204)]);
  for (const [n, ms] of [3_000, 6_000, 12_000, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000].entries()) {
    await server.waits(ms, n + 1);
  }
  // The first event has reset the wait.
  await server.waits(1_000, 11);
  assert.equal(await server.done, undefined);
});

test('clients that lose a server at once do not come back at once', async () => {
  Math.random.mock.mockImplementation(() => 0.5);
  const server = read([refused, refused, status(204)]);
  await server.waits(4_500, 1);
  await server.waits(9_000, 2);
  await server.done;
});

test('clients do not come back together, however long they were told to wait', async () => {
  Math.random.mock.mockImplementation(() => 0.5);
  for (const [retry, ms] of [[14_000, 21_000], [20_000, 30_000], [60_000, 90_000]]) {
    const server = read([stream(`:\nretry: ${retry}\ndata: x\n\n`, BREAKS), status(204)]);
    await server.waits(ms);
    await server.done;
  }
  const busy = read([status(503, { 'retry-after': '60' }), status(204)]);
  await busy.waits(61_500);
  await busy.done;
});

test('a server that is busy is asked when it says', async () => {
  const date = new Date(60_000).toUTCString();
  const server = read([
    status(503, { 'retry-after': '7' }), problem(429, { detail: 'slowly' }, { 'retry-after': date }), status(500), status(204),
  ]);
  await server.waits(7_000, 1);
  await server.waits(53_000, 2);
  await server.waits(12_000, 3);
  assert.equal(await server.done, undefined);
  assert.deepEqual(server.states.filter(state => state !== 'connecting'), [
    'waiting: the server answered 503', 'waiting: slowly', 'waiting: the server answered 500', 'ended',
  ]);
});

test('a refusal is an error with its status and its problem', async () => {
  const server = read([problem(403, { status: 403, detail: 'for admins only' })]);
  const error = await server.done;
  assert.ok(error instanceof HeliosError);
  assert.deepEqual([error.status, error.message, error.problem.status], [403, 'for admins only', 403]);
  assert.deepEqual(server.states, ['connecting', 'failed: for admins only']);
});

test('a refusal whose problem cannot be read is an error all the same', async () => {
  const server = read([status(404, { 'content-type': 'application/json' }, '{"detail":')]);
  const error = await server.done;
  assert.deepEqual([error.status, error.message], [404, 'the server answered 404']);
});

test('an answer that is no stream is an error', async () => {
  const server = read([status(200, { 'content-type': 'text/html' }, '<p>log in first')]);
  const error = await server.done;
  assert.deepEqual([error.status, error.message], [200, 'text/html is no event stream']);
});

test('an abort stops at once: before, while it asks, reads, waits', async () => {
  const reason = new Error('enough');
  const early = read([], { signal: AbortSignal.abort(reason) });
  assert.equal(await early.done, reason);
  const cases = [[hangs, 'connecting'], [stream(RETRY + 'data: x\n\n', STAYS), 'open'], [refused, 'waiting']];
  for (const [answer, state] of cases) {
    const stop = new AbortController();
    const server = read([answer], { signal: stop.signal });
    await server.until(state);
    await settled();
    stop.abort(reason);
    assert.equal(await server.done, reason);
    assert.equal(server.states.at(-1), 'ended');
    assert.equal(server.asked.length, 1);
  }
});

test('events that came with the last one are not given after an abort', async () => {
  const stop = new AbortController();
  const server = new Server(stream(RETRY + 'data: 1\n\ndata: 2\n\n', STAYS));
  const api = createClient({ baseUrl: 'http://server', fetch: server.fetch });
  const events = api.events('/news', { signal: stop.signal });
  assert.equal((await events.next()).value.data, 1);
  stop.abort();
  assert.ok(server.asked[0].isClosed);
  await assert.rejects(events.next(), { name: 'AbortError' });
});

/** Answers with a body that follows no signal. */
const deaf = asked => {
  const body = new ReadableStream({
    start: controller => controller.enqueue(new TextEncoder().encode(RETRY + 'id: 1\ndata: 1\n\n')),
    cancel: () => void (asked.isClosed = true),
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
};

test('a body that does not follow its signal is stopped all the same', async () => {
  const reason = new Error('enough');
  const stop = new AbortController();
  const server = read([deaf], { signal: stop.signal });
  await server.untilEvents(1);
  await settled();
  stop.abort(reason);
  assert.equal(await server.done, reason);
  assert.ok(server.asked[0].isClosed);

  const left = new Server(deaf);
  const events = createClient({ baseUrl: 'http://server', fetch: left.fetch }).events('/news');
  await events.next();
  const next = events.next();
  await events.return();
  assert.deepEqual(await next, { value: undefined, done: true });
  assert.ok(left.asked[0].isClosed);

  const silent = read([deaf, status(204)], { idle: 1_000 });
  await silent.untilEvents(1);
  await settled();
  mock.timers.tick(1_000);
  await silent.waits(1_000);
  assert.equal(await silent.done, undefined);
  assert.ok(silent.asked[0].isClosed);
});

test('an answer that comes after the end is closed', async () => {
  const reason = new Error('enough');
  const stop = new AbortController();
  let resolve;
  const answer = new Promise(given => { resolve = given; });
  const late = { isClosed: false };
  const api = createClient({ baseUrl: 'http://server', fetch: () => answer });
  const next = api.events('/news', { signal: stop.signal }).next();
  await settled();
  stop.abort(reason);
  await assert.rejects(next, reason);
  resolve(deaf(late));
  await settled();
  assert.ok(late.isClosed);
});

test('an answer that is no stream is closed, even if it follows no signal', async () => {
  const page = asked => new Response(deaf(asked).body, { headers: { 'content-type': 'text/html' } });
  const server = read([page]);
  assert.equal((await server.done).status, 200);
  assert.ok(server.asked[0].isClosed);
});

test('headers that never come count as silence', async () => {
  const answers = [() => new Promise(() => {}), () => ({})];
  const server = read([status(204)], { idle: 1_000 }, { headers: () => answers.shift()() });
  await server.until('connecting');
  await settled();
  mock.timers.tick(1_000);
  await server.waits(3_000);
  assert.equal(await server.done, undefined);
  assert.ok(server.states.includes('waiting: nothing came for 1000 ms'));
});

test('leaving the loop closes the connection', async () => {
  const server = new Server(stream(RETRY + 'data: 1\n\n', STAYS));
  const api = createClient({ baseUrl: 'http://server', fetch: server.fetch });
  const { signal } = new AbortController();
  for await (const _ of api.events('/news', { signal, onState: server.onState })) break;
  assert.ok(server.asked[0].isClosed);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
  assert.deepEqual(server.states, ['connecting', 'open', 'ended']);
});

test('a reset is given where it stands among the events', async () => {
  const reset = 'event: helios:reset\nid: 1\ndata: {"reason":"epoch","topics":["tea"]}\n\n';
  const server = read([stream(RETRY + 'data: 1\n\n' + reset + 'data: 2\n\n' + END)]);
  await server.done;
  assert.deepEqual(names(server), ['message', 'helios:reset', 'message', 'helios:end']);
  assert.deepEqual(server.events[1].data, { reason: 'epoch', topics: ['tea'] });
});

test('control events may have another prefix', async () => {
  const server = read([stream(RETRY + END + END.replaceAll('helios:', 'x-'), STAYS)], {}, { controlPrefix: 'x-' });
  await server.done;
  assert.deepEqual(names(server), ['helios:end', 'x-end']);
});

test('data is JSON if it is, and text where that was said', async () => {
  const body = RETRY + 'data: [1]\n\ndata: [DONE]\n\nevent: log\ndata: 12\n\n' + END;
  const server = read([stream(body)], { text: ['log'] });
  await server.done;
  assert.deepEqual(data(server), [[1], '[DONE]', '12', '']);
});

test('nothing is asked before it is iterated, and no more is read', async () => {
  const server = new Server(stream([RETRY, 'data: 1\n\ndata: 2\n\n', 'data: 3\n\n', 'data: 4\n\n'], STAYS));
  const api = createClient({ baseUrl: 'http://server', fetch: server.fetch });
  const events = api.events('/news', { idle: 10 });
  await settled();
  assert.equal(server.asked.length, 0);
  for (const [data, pulls] of [[1, 2], [2, 2], [3, 3]]) {
    assert.equal((await events.next()).value.data, data);
    await settled();
    assert.equal(server.asked[0].pulls, pulls);
  }
  // The loop is slow here, not the server, so this silence does not count.
  mock.timers.tick(60_000);
  assert.equal((await events.next()).value.data, 4);
  await events.return();
});

test('a connection that has gone silent is made anew', async () => {
  const server = read([hangs, stream(RETRY + 'id: 1\ndata: x\n\n', STAYS), status(204)], {}, { idle: 1_000 });
  await server.until('connecting');
  await settled();
  mock.timers.tick(1_000);
  await server.waits(3_000, 1);
  await server.untilEvents(1);
  await settled();
  mock.timers.tick(1_000);
  await server.waits(1_000, 2);
  assert.equal(await server.done, undefined);
  assert.deepEqual(server.asked.map(asked => asked.id), [null, null, '1']);
  assert.ok(server.states.includes('waiting: nothing came for 1000 ms'));
});

test('a comment is a sign of life', async () => {
  const server = read([stream([RETRY, 600, ':\n', 600, ':\n', 600, 'data: x\n\n', END])], { idle: 1_000 });
  assert.equal(await server.done, undefined);
});

test('a POST sends its body once, and is complete when it ends', async () => {
  const request = { method: 'post', body: { text: 'where' } };
  const server = read([stream(':\ndata: HERE\n\n')], request);
  assert.equal(await server.done, undefined);
  const [asked] = server.asked;
  assert.deepEqual([asked.method, asked.body], ['POST', '{"text":"where"}']);
  assert.equal(asked.headers.get('content-type'), 'application/json');
  const failures = [[stream(':\nid: 1\ndata: HE\n\n', BREAKS), undefined], [refused, undefined], [status(503), 503]];
  for (const [answer, code] of failures) {
    const server = read([answer], request);
    const error = await server.done;
    assert.ok(error instanceof HeliosError && error.status === code, error);
  }
});

test('a POST that may comes back with its id, its body and new headers', async () => {
  let n = 0;
  const server = read(
    [stream(':\n', BREAKS, { 'helios-position': '4' }), stream(':\nid: 5\ndata: A\n\n', BREAKS), stream(':\ndata: B\n\n')],
    { method: 'post', body: 1, reconnect: true },
    { headers: async () => ({ authorization: `token ${++n}` }) },
  );
  await server.waits(3_000, 1);
  await server.waits(3_000, 2);
  assert.equal(await server.done, undefined);
  assert.deepEqual(server.asked.map(asked => asked.id), [null, '4', '5']);
  assert.deepEqual(server.asked.map(asked => asked.headers.get('authorization')), ['token 1', 'token 2', 'token 3']);
  assert.ok(server.asked.every(asked => asked.body === '1'));
});

test('a POST that is sent away has failed', async () => {
  const server = read([stream(RETRY + 'event: helios:overloaded\ndata: {}\n\n')], { method: 'post' });
  assert.match((await server.done).message, /sent this client away/);
});

test('a plain stream that has no ids is not begun again in its middle', async () => {
  const server = read([stream(':\ndata: HE\n\n', BREAKS)]);
  const error = await server.done;
  assert.ok(error instanceof HeliosError);
  assert.deepEqual([error.status, error.cause.message], [undefined, 'terminated']);
  const whole = read([stream(':\ndata: HERE\n\n', ENDS)]);
  assert.equal(await whole.done, undefined);
});

test('a given id does not begin a plain stream again that has no ids', async () => {
  const server = read([stream(':\ndata: HE\n\n', BREAKS)], { lastEventId: '7' });
  assert.ok(await server.done instanceof HeliosError);
  const resumed = read([
    stream(':\ndata: HE\n\n', BREAKS, { 'helios-position': '7' }), stream(':\nid: 8\ndata: RE\n\n', BREAKS), stream(':\n'),
  ], { lastEventId: '7' });
  await resumed.waits(3_000, 1);
  await resumed.waits(3_000, 2);
  assert.equal(await resumed.done, undefined);
  assert.deepEqual(resumed.asked.map(asked => asked.id), ['7', '7', '8']);
});

test('a position from before a 410 does not count behind it', async () => {
  const server = read([stream(':\nid: 1\ndata: 1\n\n', BREAKS), problem(410, {}), stream(':\ndata: 2\n\n', BREAKS)]);
  await server.waits(3_000, 1);
  assert.ok(await server.done instanceof HeliosError);
});

test('a 410 is a reset: once it was seen, the stream begins without an id', async () => {
  const server = new Server(problem(410, { detail: 'reload' }), stream(':\ndata: 1\n\n'));
  const api = createClient({ baseUrl: 'http://server', fetch: server.fetch });
  const events = api.events('/news', { lastEventId: '7' });
  assert.deepEqual((await events.next()).value, {
    event: 'helios:reset', data: { reason: 'expired', topics: [] }, lastEventId: '',
  });
  await settled();
  assert.equal(server.asked.length, 1);
  assert.equal((await events.next()).value.data, 1);
  assert.deepEqual(server.asked.map(asked => asked.id), ['7', null]);
  const gone = read([problem(410, { detail: 'reload' })]);
  assert.equal((await gone.done).status, 410);
});

test('after a 410 the stream begins anew, also if the server is busy or away', async () => {
  const first = stream(':\nid: 1\ndata: 1\n\n', BREAKS);
  const server = read([first, problem(410, {}), status(503, { 'retry-after': '7' }), refused, stream(':\ndata: 2\n\n')]);
  await server.waits(3_000, 1);
  await server.waits(7_000, 2);
  await server.waits(12_000, 3);
  assert.equal(await server.done, undefined);
  assert.deepEqual(data(server), [1, { reason: 'expired', topics: [] }, 2]);
  assert.deepEqual(server.asked.map(asked => asked.id), [null, '1', null, null, null]);
});

test('parameters are written into the path and behind it', async () => {
  const request = { path: { room: 'a/b c', n: 0 }, query: { q: 'ä&b', tags: ['x', 'y'], no: undefined, page: 1 }, header: { 'x-a': 'b' } };
  const server = read([status(204)], request, { baseUrl: 'http://server/api/', credentials: 'include' }, '/rooms/{room}/{n}');
  await server.done;
  const [asked] = server.asked;
  assert.equal(asked.url, 'http://server/api/rooms/a%2Fb%20c/0?q=%C3%A4%26b&tags=x&tags=y&page=1');
  assert.deepEqual([asked.credentials, asked.headers.get('x-a')], ['include', 'b']);
});

test('a map as a parameter of the query is sent as its entries', async () => {
  const since = new Date(0);
  const query = { all: { lang: 'de', tags: ['x', 'y'], no: undefined, nil: null }, more: { q: 1 }, since };
  const server = read([status(204)], { query });
  await server.done;
  const sent = [...new URL(server.asked[0].url).searchParams];
  assert.deepEqual(sent, [['lang', 'de'], ['tags', 'x'], ['tags', 'y'], ['q', '1'], ['since', String(since)]]);
});

test('an id among the headers or in the query is where the stream begins', async () => {
  for (const given of [{ header: { 'Last-Event-ID': 7 } }, { query: { lastEventId: '7' } }]) {
    const server = read([problem(410, {}), stream(RETRY + 'id: 8\ndata: x\n\n'), status(204)], given);
    await server.waits(1_000);
    assert.equal(await server.done, undefined);
    assert.deepEqual(server.asked.map(asked => asked.id), ['7', null, '8']);
    assert.ok(server.asked.every(asked => asked.url === 'http://server/news'));
  }
  const both = read([status(204)], { lastEventId: '9', header: { 'last-event-id': '7' }, query: { lastEventId: '7' } });
  await both.done;
  assert.deepEqual([both.asked[0].id, both.asked[0].url], ['9', 'http://server/news']);
});

test('an id that no server takes back is no position', async () => {
  const server = read([stream(RETRY + `id: 1\ndata: x\n\nid: ${'ü'.repeat(4_097)}\ndata: y\n\n`), status(204)]);
  await server.waits(1_000);
  await server.done;
  assert.equal(server.asked[1].id, '1');
});

test('what can never be sent is told at once', async () => {
  assert.throws(() => createClient({ headers: { 'not a name': 'x' } }), TypeError);
  for (const baseUrl of ['http://server?key=1', '/#top']) assert.throws(() => createClient({ baseUrl }), TypeError);
  const server = read([], { method: 'post', body: 1n, reconnect: true });
  assert.ok(await server.done instanceof TypeError);
});

test('headers that cannot be had now are asked for again', async () => {
  const answers = [() => Promise.reject(new Error('offline')), () => ({ 'x-token': 'a' })];
  const server = read([status(204)], {}, { headers: () => answers.shift()() });
  await server.waits(3_000);
  assert.equal(await server.done, undefined);
  assert.equal(server.asked[0].headers.get('x-token'), 'a');
});

test('a parameter that would be another path is refused', async () => {
  for (const room of ['..', '.', '', undefined]) {
    const server = read([], { path: { room } }, {}, '/rooms/{room}');
    assert.ok(await server.done instanceof TypeError);
  }
});

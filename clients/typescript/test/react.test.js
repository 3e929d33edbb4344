import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElement as h, StrictMode } from 'react';
import { act, create } from 'react-test-renderer';
import { createClient } from '../dist/index.js';
import { useEvents } from '../dist/react.js';
import { Server, settled, STAYS, status, stream } from './server.js';

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

const room = text => stream(`retry: 100\ndata: "${text}"\n\n`, STAYS);

function Room({ server, name }) {
  const api = createClient({ baseUrl: 'http://server', fetch: server.fetch });
  const { value, state } = useEvents(
    link => api.events('/rooms/{name}', { path: { name }, ...link }), (all, e) => [...all, e.data], [], [name],
  );
  return `${state} ${value}`;
}

/** Everything has come, and then the store has told of it, by a timer. */
const told = async () => {
  for (let n = 0; n < 10; n++) await settled();
  await new Promise(resolve => setTimeout(resolve, 20));
};

const show = async element => {
  let root;
  await act(async () => { root = create(element); });
  await act(told);
  return root;
};
const update = async (root, element) => {
  await act(async () => root.update(element));
  await act(told);
};

test('a component shows what comes, begins anew with its room, and closes the stream when it goes', async () => {
  const server = new Server(room('tea'), room('rust'));
  const root = await show(h(Room, { server, name: 'tea' }));
  assert.equal(root.toJSON(), 'open tea');
  await update(root, h(Room, { server, name: 'tea' }));
  assert.equal(server.asked.length, 1);
  await update(root, h(Room, { server, name: 'rust' }));
  assert.equal(root.toJSON(), 'open rust');
  assert.deepEqual(server.asked.map(asked => asked.isClosed ?? false), [true, false]);
  await act(async () => root.unmount());
  assert.ok(server.asked[1].isClosed);
});

test('mounted twice, it shows each event once', async () => {
  const server = new Server(room('tea'), room('tea'));
  const root = await show(h(StrictMode, null, h(Room, { server, name: 'tea' })));
  assert.equal(root.toJSON(), 'open tea');
  assert.equal(server.asked.filter(asked => !asked.isClosed && !asked.signal.aborted).length, 1);
  await act(async () => root.unmount());
});

test('a stream that fails shows it', async () => {
  const server = new Server(status(403));
  const root = await show(h(Room, { server, name: 'tea' }));
  assert.equal(root.toJSON(), 'failed ');
});

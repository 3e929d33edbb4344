import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventStore } from '../dist/store.js';

/** A stream of these events, which stays open. */
async function* stays(events, signal) {
  yield* events;
  await new Promise(resolve => signal.addEventListener('abort', resolve));
}

const counter = events => eventStore(({ signal }) => stays(events, signal), count => count + 1, 0);
const later = () => new Promise(resolve => setTimeout(resolve, 20));

test('events that come at once are one change', async () => {
  const store = counter(Array(2_000).fill('news'));
  const seen = [];
  const leave = store.subscribe(() => seen.push(store.shown().value));
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(store.shown().value, 2_000);
  await later();
  assert.deepEqual(seen, [2_000]);
  leave();
});

test('nobody is told of a stream that was closed', async () => {
  const store = counter(['news']);
  let told = 0;
  const leave = store.subscribe(() => told++);
  for (let n = 0; n < 10; n++) await undefined;
  assert.equal(store.shown().value, 1);
  leave();
  const leaveAgain = store.subscribe(() => {});
  await later();
  assert.equal(told, 0);
  leaveAgain();
});

test('a store that is left at once opens nothing', async () => {
  let opened = 0;
  const store = eventStore(({ signal }) => (opened++, stays([], signal)), count => count, 0);
  store.subscribe(() => {})();
  await later();
  assert.equal(opened, 0);
});

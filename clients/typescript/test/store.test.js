import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
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

test('an error of a listener is its own', async () => {
  const thrown = [];
  mock.method(globalThis, 'queueMicrotask', task => thrown.push(task));
  const store = counter(['news']);
  const seen = [];
  const leave = [
    store.subscribe(() => { throw new Error('of a listener'); }),
    store.subscribe(() => seen.push(store.shown())),
  ];
  await later();
  mock.restoreAll();
  assert.deepEqual(seen, [{ value: 1, state: 'connecting', error: undefined }]);
  assert.equal(thrown.length, 1);
  assert.throws(thrown[0], /of a listener/);
  for (const each of leave) each();
});

test('a function that subscribes twice is told twice, and leaves twice', async () => {
  const store = counter(['news']);
  let told = 0;
  const listener = () => told++;
  const leave = [store.subscribe(listener), store.subscribe(listener)];
  leave[0]();
  leave[0]();
  await later();
  assert.equal(told, 1);
  leave[1]();
});

test('a listener may subscribe and leave while it is told', async () => {
  const store = counter(['news']);
  let told = 0, leaveOther, leave;
  const again = () => {
    told++;
    leave();
    leave = store.subscribe(again);
    leaveOther();
  };
  leave = store.subscribe(again);
  leaveOther = store.subscribe(() => assert.fail('it has left'));
  const stays = store.subscribe(() => {});
  await later();
  assert.equal(told, 1);
  stays();
  leave();
});

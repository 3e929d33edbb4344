import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventParser } from '../dist/index.js';

const bytes = text => new TextEncoder().encode(text);

function parse(...pieces) {
  const parser = new EventParser();
  const events = pieces.flatMap(piece => parser.push(piece));
  return { events, retry: parser.retry, lastEventId: parser.lastEventId };
}

const event = (event, data, lastEventId) => ({ event, data, lastEventId });

const STREAM = [
  '\uFEFF:\nretry: 3000\nevent: said\nid: 1\ndata: grüße 🦀 日本\n\n',
  ': a comment\r\ndata: two\r\ndata:  lines\r\n\r\n',
  'data\rid: 2\revent: empty\r\r',
  'id: 3\n\n',
  'data: \uFEFF is text here\nunknown: x\ndata:colon: s\n\n',
  'id: 4\0\nretry: 7s\nretry: -1\ndata: x\n\nid\ndata: y\n\n',
  'event: none\n\n\r\n\r\r\ndata: \r\n\r\n',
  'event: half\ndata: of it\nid: 9\n',
].join('');

const WHOLE = {
  events: [
    event('said', 'grüße 🦀 日本', '1'),
    event('message', 'two\n lines', '1'),
    event('empty', '', '2'),
    event('message', '\uFEFF is text here\ncolon: s', '3'),
    event('message', 'x', '3'),
    event('message', 'y', ''),
    event('message', '', ''),
  ],
  retry: 3000,
  lastEventId: '',
};

test('a stream is read as the standard says', () => {
  assert.deepEqual(parse(bytes(STREAM)), WHOLE);
});

test('every split of a stream into pieces gives the same events', () => {
  const all = bytes(STREAM);
  for (let at = 0; at <= all.length; at++) {
    for (let to = at; to <= all.length; to++) {
      assert.deepEqual(parse(all.slice(0, at), all.slice(at, to), all.slice(to)), WHOLE, `${at} ${to}`);
    }
  }
  assert.deepEqual(parse(...Array.from(all, byte => Uint8Array.of(byte))), WHOLE);
});

test('all three line endings say the same, wherever they are split', () => {
  const expected = parse(bytes('id: 1\ndata: a\ndata: b\n\nevent: e\ndata: c\n\n'));
  assert.equal(expected.events.length, 2);
  for (const ending of ['\r', '\r\n']) {
    const all = bytes('id: 1\ndata: a\ndata: b\n\nevent: e\ndata: c\n\n'.replaceAll('\n', ending));
    for (let at = 0; at <= all.length; at++) {
      assert.deepEqual(parse(all.slice(0, at), all.slice(at)), expected);
    }
  }
});

test('a CR at the end of a piece and an LF in the next are one ending', () => {
  const expected = parse(bytes('data: a\ndata: b\n\ndata: c\n\n')).events;
  assert.deepEqual(parse(bytes('data: a\r'), bytes('\ndata: b\r'), bytes('\n\r'), bytes('\ndata: c\r'), bytes('\n\r')).events, expected);
  assert.deepEqual(parse(bytes('data: a\r'), bytes('\rdata: b\r'), bytes('\r')).events.map(event => event.data), ['a', 'b']);
});

test('a long line takes no longer for its length', () => {
  const piece = new Uint8Array(1_400).fill(97);
  const time = pieces => {
    const parser = new EventParser();
    const start = performance.now();
    parser.push(bytes('data: '));
    for (let n = 0; n < pieces; n++) parser.push(piece);
    const [event] = parser.push(bytes('\n\n'));
    assert.equal(event.data.length, pieces * 1_400);
    return performance.now() - start;
  };
  time(100);
  // Four MiB took ten seconds when each piece was searched together with all those before it.
  assert.ok(time(3_000) < 1_000);
});

test('an event is given with its last byte, not with the next event', () => {
  assert.equal(parse(bytes('data: x\r\r')).events.length, 1);
  assert.equal(parse(bytes('data: x\r\n\r')).events.length, 1);
  assert.equal(parse(bytes('data: x\n')).events.length, 0);
});

test('the id of the connection before is kept until there is another', () => {
  const parser = new EventParser('7');
  const events = parser.push(bytes('data: greeting\n\nid: 8\ndata: x\n\nid: 9\ndata: half'));
  assert.deepEqual(events.map(event => event.lastEventId), ['7', '8']);
  assert.equal(parser.lastEventId, '8');
});

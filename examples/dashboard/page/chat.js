// @ts-check
// The chat. The page shows its own message at once and sends it until the server has it. The server knows a message by its key.
import { time } from './format.js';
import { $, follow, say, template } from './list.js';
import { attempt, request } from './request.js';

/** @typedef {import('./paths.d.ts').components['schemas']['Message']} Message */

const SHOWN = 200, TOGETHER = 300_000;
const make = template('message');
/** @type {Set<string>} */
const mine = new Set();
/** @type {Map<string, Message>} */
const pending = new Map();
/** @type {Map<string, Message>} */
const messages = new Map();
let newest = true;

const asked = new URLSearchParams(location.search).get('name');
$('name').value = (asked || sessionStorage.name || `guest-${Math.random().toString(36).slice(2, 6)}`).slice(0, 30);
$('name').onchange = () => { sessionStorage.name = $('name').value; };

/** @param {Message} message */
export function put(message) {
  messages.set(message.key, message);
  pending.delete(message.key);
  show();
}

export function clear() {
  messages.clear();
  show();
}

export function resend() {
  for (const message of pending.values()) send(message);
}

function show() {
  const list = [...messages.values()];
  for (const message of list.slice(0, -SHOWN)) messages.delete(message.key);
  follow($('messages'), [...list.slice(-SHOWN), ...pending.values()], make, update);
  stay();
}

// Keeps the newest message in sight, unless somebody reads further up.
function stay() {
  if (newest) $('messages').scrollTop = $('messages').scrollHeight;
}

new ResizeObserver(stay).observe($('messages'));
$('messages').addEventListener('scroll', () => {
  const { scrollHeight, scrollTop, clientHeight } = $('messages');
  newest = scrollHeight - scrollTop - clientHeight < 60;
});

/**
 * @param {any} element
 * @param {Message} message
 * @param {Message | undefined} before
 */
function update(element, message, before) {
  const [name, text] = element.querySelectorAll('bdi');
  say(name, message.name);
  say(text, message.text);
  say(element.querySelector('time'), time(message.at));
  element.classList.toggle('mine', mine.has(message.key));
  element.classList.toggle('pending', pending.has(message.key));
  element.classList.toggle('more', before?.name === message.name && mine.has(before.key) === mine.has(message.key) && message.at - before.at < TOGETHER);
}

/** @param {Message} message */
function send({ key, name, text }) {
  return attempt($('chat-fault'), async () => {
    try {
      await request('POST', '/chat', { key, name, text });
    } catch (caught) {
      const error = /** @type {Error & { status?: number }} */ (caught);
      if (!error.status) return; // it waits for the server
      pending.delete(key);
      $('text').value ||= text;
      show();
      throw error;
    }
  });
}

$('say').addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  const text = $('text').value.trim(), name = $('name').value.trim();
  if (!text) return;
  const message = { key: uuid(), name: name || 'guest', text, at: Date.now() };
  mine.add(message.key);
  pending.set(message.key, message);
  $('text').value = '';
  newest = true;
  show();
  send(message);
});

// Browsers have no `crypto.randomUUID` on plain HTTP from another machine.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}

// @ts-check
// The page of the chat. It reads the stream of its room with the TypeScript client. `paths.d.ts` is made from the document of the
// server, so a route, an event or a field that the server does not have is a type error here.
import { createClient } from './helios-sse-client.js';

/** @typedef {import('./paths.d.ts').paths} Paths */
/** @typedef {import('./paths.d.ts').components['schemas']} Schemas */
/** @typedef {Pick<Schemas['Message'], 'name' | 'text'>} Shown */
/** @typedef {Paths['/rooms/{room}/people']['get']['responses'][200]['content']['application/json']} Members */
/** @typedef {Paths['/rooms/{room}']['post']['requestBody']['content']['application/json']} NewMessage */
/** @typedef {ReturnType<typeof api.events<'/rooms/{room}'>> extends AsyncGenerator<infer Event> ? Event : never} News */

/** @type {import('./helios-sse-client.js').Client<Paths>} */
const api = createClient();

/**
 * The address of a route of this room.
 * @param {keyof Paths} path
 * @param {string} room
 */
const at = (path, room) => path.replace('{room}', encodeURIComponent(room));

/**
 * The element of this id, whatever it is.
 * @param {string} id
 * @returns {any}
 */
const $ = id => document.getElementById(id);

const asked = new URLSearchParams(location.search);
$('room').value = asked.get('room') ?? 'lobby';
if (!$('room').value) $('room').value = 'lobby';
$('name').value = (asked.get('name') || `guest-${Math.random().toString(36).slice(2, 6)}`).slice(0, 30);

const STATES = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', closed: 'Disconnected' };
/** @type {keyof typeof STATES} */
let state = 'connecting';

/**
 * @param {keyof typeof STATES} now
 * @param {string} [why]
 */
function show(now, why) {
  document.body.dataset['state'] = $('state').dataset.state = state = now;
  $('state').textContent = STATES[state] + (why ? `, ${why}` : '');
  $('here-title').textContent = state === 'live' ? 'Here now' : 'Last seen here';
}

/**
 * Keeps the newest message in sight, unless somebody reads further up.
 * @param {() => void} change
 */
function keepingBottom(change) {
  const pane = $('scroll'), below = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 60;
  change();
  if (below) pane.scrollTop = pane.scrollHeight;
}

/**
 * The messages of this page as they look in the outbox, by their keys.
 * @type {Map<string, Element>}
 */
const mine = new Map();

/**
 * @param {Shown} message
 * @param {boolean} isMine
 */
function draw({ name, text }, isMine) {
  const item = $('message').content.firstElementChild.cloneNode(true);
  [item.querySelector('.who bdi').textContent, item.querySelector('.said bdi').textContent] = [name, text];
  item.classList.toggle('mine', isMine);
  return item;
}

/**
 * Shows a message once, in its place. Missed and live messages may overlap.
 * @param {Schemas['Message']} message
 */
function said(message) {
  const key = message.key ?? '';
  mine.get(key)?.remove();
  if ($(`m${message.id}`)) return;
  const item = draw(message, mine.has(key));
  item.id = `m${message.id}`;
  item.value = message.id;
  const next = [...$('messages').children].find(other => other.value > message.id) ?? null;
  keepingBottom(() => $('messages').insertBefore(item, next));
  for (const each of [item, next]) {
    each?.classList.toggle('gap', each.previousElementSibling ? each.previousElementSibling.value !== each.value - 1 : each.value > 1);
  }
}

/**
 * The people in the room, by name. The server sends a list first, and then its changes. Some of these may be in the list already.
 * @type {Map<string, Schemas['MemberStatus']>}
 */
const people = new Map();
/** @type {number | undefined} */
let asking;

function drawPeople() {
  const items = [...people].sort(([a], [b]) => a < b ? -1 : 1).map(([name, status]) =>
    Object.assign(document.createElement('li'), { textContent: name, className: status, title: status === 'here' ? '' : 'Reconnecting' }));
  keepingBottom(() => $('people').replaceChildren(...items));
  clearTimeout(asking);
  if (items.some(item => item.className !== 'here')) asking = setTimeout(ask, 5000, $('room').value);
}

/** @param {Members} members */
function listed(members) {
  people.clear();
  for (const { key, status } of members) people.set(key, status);
  drawPeople();
}

/** @param {string} name */
function joined(name) {
  if (!people.has(name)) $('notice').textContent = `${name} joined`;
  people.set(name, 'here');
  drawPeople();
}

/** @param {string} name */
function left(name) {
  if (people.delete(name)) $('notice').textContent = `${name} left`;
  drawPeople();
}

/**
 * The server sends no event when somebody comes back in time, so the page asks again about those who are away.
 * @param {string} room
 */
async function ask(room) {
  try {
    const response = await fetch(at('/rooms/{room}/people', room));
    /** @type {Members} */
    const members = response.ok && room === $('room').value ? await response.json() : [];
    for (const { key, status } of members) if (people.has(key)) people.set(key, status);
  } catch { }
  drawPeople();
}

let stop = new AbortController(), lastEventId = '', why = '';

/** @param {AbortSignal} signal */
async function follow(signal) {
  const path = { room: $('room').value }, query = { name: $('name').value };
  while (!signal.aborted) {
    try {
      // The client comes back by itself, with the id of its last event.
      for await (const event of api.events('/rooms/{room}', { path, query, lastEventId, signal, onState })) {
        lastEventId = event.lastEventId || lastEventId;
        try {
          take(event);
        } catch (error) {
          reportError(error); // It is the page's own, and the stream goes on.
        }
      }
    } catch {
      if (signal.aborted) return;
    }
    // The client has given up, perhaps after the error page of a proxy. This page tries again.
    show('closed', 'trying again');
    await new Promise(resolve => setTimeout(resolve, 3000));
  }
}

/** @type {import('./helios-sse-client.js').OnState} */
function onState(now) {
  if (now === 'open') $('missed').textContent = '';
  if (now === 'waiting') show('reconnecting', why);
  if (now === 'connecting' && state !== 'reconnecting') show('connecting');
}

/** @param {News} event */
function take(event) {
  switch (event.event) {
    case 'said': return said(event.data);
    case 'people': return listed(event.data);
    case 'helios:joined': return joined(event.data.key);
    case 'helios:left': return left(event.data.key);
    case 'helios:ready': why = ''; return show('live');
    case 'helios:reset': $('missed').textContent = 'You may have missed something; the page shows the newest.'; return;
    case 'helios:reconnect': why = 'the server is restarting'; return;
    case 'helios:overloaded': why = `the server is full, again in ${Math.ceil(event.data.retry / 1000)} s`;
  }
}

function connect() {
  stop.abort();
  stop = new AbortController();
  why = '';
  show('connecting');
  void follow(stop.signal);
}
// A browser may keep a page that somebody leaves, and show it again as it was.
addEventListener('pagehide', () => stop.abort());
addEventListener('pageshow', event => { if (event.persisted) connect(); });

function enter() {
  lastEventId = '';
  people.clear();
  drawPeople();
  $('messages').replaceChildren();
  for (const item of $('outbox').children) item.hidden = item.dataset.room !== $('room').value;
  history.replaceState(null, '', `?${new URLSearchParams({ room: $('room').value, name: $('name').value })}`);
  connect();
}
$('room').onchange = $('name').onchange = () => { if ($('name').reportValidity()) enter(); };
enter();

/**
 * A message waits in the outbox until it comes back in the room. Its key lets the page send it twice without a second copy.
 * @param {string} room
 * @param {NewMessage} message
 * @param {any} item
 */
async function send(room, message, item) {
  const fate = Object.assign(document.createElement('p'), { className: 'fate', textContent: 'Sending' });
  item.querySelector('.fate')?.remove();
  item.append(fate);
  item.className = 'message mine pending';
  const failure = await post(room, message);
  if (!failure) return;
  item.classList.add('unsent');
  const again = Object.assign(document.createElement('button'), { type: 'button', className: 'plain', textContent: 'Try again' });
  again.onclick = () => send(room, message, item);
  fate.role = 'alert';
  keepingBottom(() => fate.replaceChildren(`Not sent: ${failure}. `, again));
}

/**
 * Returns what went wrong, if anything did.
 * @param {string} room
 * @param {NewMessage} message
 * @returns {Promise<string | undefined>}
 */
async function post(room, message) {
  const headers = { 'content-type': 'application/json' };
  try {
    const response = await fetch(at('/rooms/{room}', room), { method: 'POST', headers, body: JSON.stringify(message) });
    if (response.ok) return;
    /** @type {Partial<Schemas['HeliosProblem']>} */
    const problem = await response.json().catch(() => ({}));
    return problem.detail ?? 'the server had a problem';
  } catch {
    return 'no connection';
  }
}

$('form').addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  const key = `${Date.now()}-${Math.random()}`, room = $('room').value;
  const message = { key, name: $('name').value, text: $('text').value };
  const item = draw(message, true);
  mine.set(key, item);
  item.dataset.room = room;
  $('outbox').append(item);
  $('scroll').scrollTop = $('scroll').scrollHeight;
  $('text').value = '';
  send(room, message, item);
});

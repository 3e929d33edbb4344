// @ts-check
// The notifications, the newest first. One that arrives on an open page lights up.
import { time } from './format.js';
import { $, follow, say, template } from './list.js';

/** @typedef {import('./paths.d.ts').components['schemas']} Schemas */
const SHOWN = 30, FRESH = 5000;
const make = template('notice');
/** @type {Map<string, Schemas['Notice'] & { id: string }>} */
const notices = new Map();
let unseen = 0;

/**
 * @param {Schemas['Notice']} notice
 * @param {string} id
 */
export function put(notice, id) {
  const isNew = !notices.has(id), isFresh = Date.now() - notice.at < FRESH;
  notices.set(id, { ...notice, id });
  if (isNew && isFresh && document.hidden) unseen++;
  show();
  if (isNew && isFresh) $('notices').firstElementChild.classList.add('fresh');
}

export function clear() {
  notices.clear();
  show();
}

function show() {
  const list = [...notices.values()].reverse();
  for (const notice of list.slice(SHOWN)) notices.delete(notice.id);
  follow($('notices'), list.slice(0, SHOWN), make, (element, notice) => {
    element.dataset.kind = notice.kind;
    say(element.querySelector('p'), notice.text);
    say(element.querySelector('time'), time(notice.at));
  });
  document.title = `${unseen ? `(${unseen}) ` : ''}Helios · dashboard`;
}

document.addEventListener('visibilitychange', () => { unseen = document.hidden ? unseen : 0; show(); });
